// `ambit status`: is the mesh healthy, who is in it, how much of the traffic is mTLS, and what to mend.

import { connectKubernetes } from '../../runtime/kubernetes/client.ts';
import { renderStatus } from '../render/status.ts';
import { styleFor } from '../render/style.ts';
import { assess } from '../status/assess.ts';
import { gatherFindings } from '../status/gather.ts';
import type { ClusterOptions } from './cluster-options.ts';

export type StatusOptions = ClusterOptions & { readonly output: 'text' | 'json' };

/** @returns the exit code: 0 healthy, 1 not */
export async function status(options: StatusOptions): Promise<number> {
  const client = await connectKubernetes(options);
  const report = assess(await gatherFindings(client), Date.now());
  process.stdout.write(
    options.output === 'json'
      ? `${JSON.stringify(report, null, 2)}\n`
      : renderStatus(report, styleFor(process.stdout)),
  );
  return report.healthy ? 0 : 1;
}
