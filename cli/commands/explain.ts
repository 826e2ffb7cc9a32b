// `ambit explain FROM TO[:PORT]`: how the name resolves, where the connection goes, which policies are considered, which
// one decides, and what would have to change.

import type { Snapshot } from '../../mesh/snapshot.ts';
import { connectKubernetes } from '../../runtime/kubernetes/client.ts';
import { Snapshots } from '../cluster/snapshots.ts';
import { explainConnection } from '../explain/evaluate.ts';
import { findDestination, findSource } from '../explain/places.ts';
import { renderExplanation } from '../render/explain.ts';
import { type OutputFormat, renderValue } from '../render/output.ts';
import { styleFor } from '../render/style.ts';
import { type ClusterOptions, clusterOf } from './cluster-options.ts';

export type ExplainOptions = ClusterOptions & {
  readonly output: OutputFormat;
  /** Of FROM, when it does not say. */
  readonly namespace: string;
};

/** @returns the exit code: 0 when the connection is allowed, 1 when it is not, or depends on the endpoint */
export async function explain(from: string, to: string, options: ExplainOptions): Promise<number> {
  const client = await connectKubernetes(clusterOf(options));
  const snapshots = await Snapshots.of(client);
  const anywhere = await snapshots.any();
  const { node } = findSource(from, options.namespace, anywhere);
  const snapshot = await snapshots.fetch(node);
  const source = findSource(from, options.namespace, snapshot);
  const { to: address, resolution } = findDestination(to, source, snapshot);
  // twice: the first time tells which nodes' agents are to be asked
  const nodes = new Set<string>();
  const asked = { source, to: address, snapshot };
  explainConnection({ ...asked, at: (one) => note(nodes, one, snapshot) });
  await Promise.all([...nodes].map((one) => snapshots.fetch(one)));
  const explanation = explainConnection({ ...asked, at: (one) => snapshots.at(one) });
  const explained = { ...explanation, resolution };
  process.stdout.write(
    options.output === 'text'
      ? renderExplanation(explained, styleFor(process.stdout))
      : renderValue(explained, options.output),
  );
  return explanation.verdict === 'allowed' ? 0 : 1;
}

function note(nodes: Set<string>, node: string, snapshot: Snapshot): Snapshot {
  nodes.add(node);
  return snapshot;
}
