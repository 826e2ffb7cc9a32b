// `ambit check [--pre]`: is the cluster fit for the mesh, is the mesh well; each finding with its remedy.

import { setTimeout as sleep } from 'node:timers/promises';
import { connectKubernetes, type KubeClient } from '../../runtime/kubernetes/client.ts';
import { MESH_CHECKS } from '../check/after.ts';
import { CLUSTER_CHECKS, INSTALL_CHECKS, INSTALL_RIGHTS } from '../check/before.ts';
import { type CheckResult, passed, runChecks } from '../check/check.ts';
import { gatherFacts } from '../check/facts.ts';
import { renderChecks } from '../render/check.ts';
import { styleFor } from '../render/style.ts';
import { assess } from '../status/assess.ts';
import { gatherFindings } from '../status/gather.ts';
import type { ClusterOptions } from './cluster-options.ts';

export type CheckOptions = ClusterOptions & {
  readonly output: 'text' | 'json';
  readonly pre: boolean;
  /** Seconds to go on trying until all is well. */
  readonly wait: number;
};

const PAUSE_MS = 2000;

/** @returns the exit code: 0 passed (warnings are no failure), 1 not */
export async function check(options: CheckOptions): Promise<number> {
  const client = await connectKubernetes(options);
  const giveUpAt = Date.now() + options.wait * 1000;
  let results = await checkOnce(client, options.pre);
  while (!passed(results) && Date.now() + PAUSE_MS < giveUpAt) {
    await sleep(PAUSE_MS);
    results = await checkOnce(client, options.pre);
  }
  process.stdout.write(
    options.output === 'json'
      ? `${JSON.stringify({ success: passed(results), checks: results }, null, 2)}\n`
      : renderChecks(results, styleFor(process.stdout)),
  );
  return passed(results) ? 0 : 1;
}

async function checkOnce(client: KubeClient, pre: boolean): Promise<CheckResult[]> {
  const cluster = await gatherFacts(client, pre ? INSTALL_RIGHTS : [], Date.now);
  const results = runChecks([...CLUSTER_CHECKS, ...(pre ? INSTALL_CHECKS : [])], cluster);
  // a cluster that cannot be asked has nothing to say of the mesh
  if (pre || 'error' in cluster.version) return results;
  const report = assess(await gatherFindings(client), Date.now());
  return [...results, ...runChecks(MESH_CHECKS, { cluster, report })];
}
