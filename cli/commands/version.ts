// `ambit version`: what this cli is, and which version of the mesh runs in the cluster it talks to.

import { connectKubernetes } from '../../runtime/kubernetes/client.ts';
import { VERSION } from '../../runtime/version.ts';
import { gatherFindings } from '../status/gather.ts';
import type { ClusterOptions } from './cluster-options.ts';

export type VersionOptions = ClusterOptions & {
  readonly output: 'text' | 'json';
  readonly client: boolean;
};

export async function version(options: VersionOptions): Promise<number> {
  const mesh = options.client ? undefined : await meshVersions(options);
  if (options.output === 'json') {
    process.stdout.write(`${JSON.stringify({ client: VERSION, ...mesh }, null, 2)}\n`);
    return 0;
  }
  process.stdout.write(`client version: ${VERSION}\n`);
  if (mesh === undefined) return 0;
  process.stdout.write(`control plane version: ${mesh.controlPlane ?? 'unknown'}\n`);
  process.stdout.write(`data plane version: ${mesh.dataPlane.join(', ') || 'none'}\n`);
  return 0;
}

/** A cluster that cannot be asked is no failure of `version`: people run it to see what they have at hand. */
async function meshVersions(
  options: ClusterOptions,
): Promise<{ controlPlane: string | undefined; dataPlane: string[] } | undefined> {
  try {
    const findings = await gatherFindings(await connectKubernetes(options));
    const counts = new Map<string, number>();
    for (const agent of findings.agents)
      counts.set(agent.version, (counts.get(agent.version) ?? 0) + 1);
    return {
      controlPlane: findings.controlPlaneVersion,
      dataPlane: [...counts].map(([name, count]) => `${name || 'unknown'} (${count} agents)`),
    };
  } catch (error) {
    process.stderr.write(
      `Cannot ask the cluster: ${error instanceof Error ? error.message : String(error)}. Use --client for this cli alone\n`,
    );
    return undefined;
  }
}
