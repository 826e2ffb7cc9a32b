// `ambit authz check POD`: the policies that hold for connections to a pod, as its agent has them, and for requests to it,
// as the waypoints before it have them.

import { policyKey } from '../../mesh/policy.ts';
import { connectKubernetes } from '../../runtime/kubernetes/client.ts';
import { Snapshots } from '../cluster/snapshots.ts';
import { waypointSnapshot } from '../cluster/waypoints.ts';
import { CommandFailure } from '../exit.ts';
import { nameOf } from '../explain/evaluate.ts';
import { findSource } from '../explain/places.ts';
import { guardedWaysTo, requestPolicyRows } from '../explain/request-policies.ts';
import { type OutputFormat, printRows } from '../render/output.ts';
import { type ClusterOptions, clusterOf } from './cluster-options.ts';

export type AuthzOptions = ClusterOptions & {
  readonly output: OutputFormat;
  readonly namespace: string;
};

type Row = {
  readonly policy: string;
  readonly action: string;
  readonly scope: string;
  readonly rules: number;
  readonly state: string;
};

export async function authzCheck(pod: string, options: AuthzOptions): Promise<number> {
  const client = await connectKubernetes(clusterOf(options));
  const snapshots = await Snapshots.of(client);
  const { node } = findSource(pod, options.namespace, await snapshots.any());
  const snapshot = await snapshots.fetch(node);
  const workload = findSource(pod, options.namespace, snapshot);
  const rows: Row[] = [
    ...snapshot.policiesFor(workload).map((policy) => ({
      policy: policyKey(policy),
      action: policy.action.toUpperCase(),
      scope: policy.scope,
      rules: policy.rules.length,
      state: policy.dryRun ? 'dry run' : policy.action === 'audit' ? 'reported only' : 'enforced',
    })),
    ...snapshot.unknownPoliciesOf(workload).map((policy) => ({
      policy,
      action: '',
      scope: 'workload',
      rules: 0,
      state: 'not known to the agent: every connection is refused',
    })),
  ];
  for (const way of guardedWaysTo(workload, snapshot)) {
    try {
      rows.push(...requestPolicyRows(way, await waypointSnapshot(client, way)));
    } catch (error) {
      // the others are worth seeing all the same
      if (!(error instanceof CommandFailure)) throw error;
      process.stderr.write(`${error.message}\n`);
    }
  }
  if (options.output === 'text' && workload.protocol !== 'hbone') {
    process.stderr.write(
      `${nameOf(workload)} is not in the mesh: none of its policies is enforced. Put it in: ambit namespace add ${workload.namespace}\n`,
    );
  }
  printRows(rows, options.output, () => ({
    header: ['POLICY', 'ACTION', 'SCOPE', 'RULES', 'STATE'],
    cells: rows.map((row) => [row.policy, row.action, row.scope, String(row.rules), row.state]),
  }));
  return 0;
}
