// `ambit ca status` and `ambit ca rotate`: what signs, who is trusted, and a new root without a restart. The wish is
// written where the CA looks for it; the CA does the rest, whether this command goes on watching or not.

import { randomUUID } from 'node:crypto';
import type { Clock } from '../../runtime/clock.ts';
import { connectKubernetes, type KubeClient, KubeError } from '../../runtime/kubernetes/client.ts';
import type { ConfigMap } from '../../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS } from '../../runtime/kubernetes/resources.ts';
import {
  REQUEST_KEY,
  ROTATION_MAP,
  type RotationRequest,
  type RotationStatus,
  readRotationStatus,
  STATUS_KEY,
} from '../../wire/rotation.ts';
import { CommandFailure } from '../exit.ts';
import { renderProgress, renderTrust } from '../render/ca.ts';
import { styleFor } from '../render/style.ts';
import type { ClusterOptions } from './cluster-options.ts';

const NAMESPACE = 'ambit-system';
/** The CA looks about once a second while a rotation goes on. */
const POLL_MS = 500;

export type CaStatusOptions = ClusterOptions & { readonly output: 'text' | 'json' };
export type RotateOptions = CaStatusOptions & {
  readonly force: boolean;
  readonly wait: boolean;
  /** Seconds; 0 waits as long as it takes. */
  readonly timeout: number;
};

/** @returns the exit code: 0, or 1 when the CA has a problem */
export async function caStatus(options: CaStatusOptions): Promise<number> {
  const client = await connectKubernetes(options);
  const status = await readStatus(client);
  print(status, options);
  return status.problem === undefined ? 0 : 1;
}

/** @returns the exit code: 0 when the root was rotated, or (without waiting) asked to be */
export async function caRotate(options: RotateOptions, clock: Clock): Promise<number> {
  const client = await connectKubernetes(options);
  const before = await readStatus(client);
  const request: RotationRequest = { id: randomUUID(), force: options.force };
  await client.patch<ConfigMap>(CONFIG_MAPS, ROTATION_MAP, NAMESPACE, {
    data: { [REQUEST_KEY]: JSON.stringify(request) },
  });
  if (!options.wait) {
    const answer = { request: request.id, phase: before.phase };
    process.stdout.write(
      options.output === 'json'
        ? `${JSON.stringify(answer, null, 2)}\n`
        : 'The rotation is asked for. See how far it is: ambit ca status\n',
    );
    return 0;
  }
  // progress is for people who watch; what scripts read is the end
  const tell = (line: string): void => {
    (options.output === 'json' ? process.stderr : process.stdout).write(`${line}\n`);
  };
  const end = await watchRotation({ client, clock, tell }, request.id, options.timeout * 1000);
  print(end, options);
  return 0;
}

/**
 * Tells each step until the rotation has ended; a cluster that cannot be asked for a while is asked again.
 * @throws CommandFailure when the CA refused it, or `timeoutMs` are over (0: never)
 */
export async function watchRotation(
  parts: {
    readonly client: KubeClient;
    readonly clock: Clock;
    readonly tell: (line: string) => void;
  },
  id: string,
  timeoutMs: number,
): Promise<RotationStatus> {
  const { client, clock, tell } = parts;
  const started = clock.monotonic();
  let told = '';
  for (;;) {
    const status = await readStatus(client).catch((error: unknown) => {
      if (error instanceof KubeError) return undefined;
      throw error;
    });
    if (status?.refused?.id === id) {
      throw new CommandFailure(`Cannot rotate the root: ${status.refused.message}`);
    }
    if (status?.request === id && status.phase === 'steady') return status;
    const line =
      status === undefined
        ? 'Kubernetes does not answer: the rotation goes on by itself, asking again'
        : renderProgress(status, id);
    if (line !== told) tell(line);
    told = line;
    if (timeoutMs > 0 && clock.monotonic() - started >= timeoutMs) {
      throw new CommandFailure(
        `The rotation has not ended within ${timeoutMs / 1000} s: ${line}. It goes on by itself; see how far it is: ambit ca status`,
      );
    }
    await clock.sleep(POLL_MS);
  }
}

/** @throws CommandFailure when no CA has written any */
async function readStatus(client: KubeClient): Promise<RotationStatus> {
  const map = await client.get<ConfigMap>(CONFIG_MAPS, ROTATION_MAP, NAMESPACE);
  const status = readRotationStatus(map?.data?.[STATUS_KEY]);
  if (status !== undefined) return status;
  throw new CommandFailure(
    `Cannot tell how the CA is: ConfigMap ${NAMESPACE}/${ROTATION_MAP} says nothing of it. See whether it runs: kubectl -n ${NAMESPACE} get deployment ambit-ca; kubectl -n ${NAMESPACE} logs deployment/ambit-ca`,
  );
}

function print(status: RotationStatus, options: CaStatusOptions): void {
  process.stdout.write(
    options.output === 'json'
      ? `${JSON.stringify(status, null, 2)}\n`
      : renderTrust(status, styleFor(process.stdout)),
  );
}
