// A namespace under steady load from inside the mesh, and what that load has lost: for end-to-end tests of whatever must
// go unnoticed. Used by test/e2e.

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { allEncrypted, MODE, podIps, redirectionOfAll } from './enrolled.ts';
import type { Sandbox } from './sandbox.ts';
import { type Counts, faultsOf, openEchoes, startPod, tallyWhen } from './traffic.ts';

const RATE = 20;
export const NONE = { failed: 0, dropped: 0, refused: 0, wrong: 0 };

/** The load generator's pod in that namespace. */
export function loadIn(namespace: string): { readonly namespace: string; readonly name: string } {
  return { namespace, name: 'load' };
}

/** Resolves when the namespace is enrolled, under load, and all of that is in tunnels. */
export async function startLoad(sandbox: Sandbox, namespace: string): Promise<void> {
  await openEchoes(sandbox, namespace, { [MODE]: 'ambient' });
  const echo = `echo.${namespace}.svc.cluster.local`;
  await startPod(sandbox, {
    ...loadIn(namespace),
    image: 'load',
    variables: {
      URL: `http://${echo}:8080/`,
      RATE: String(RATE),
      LINE_HOST: echo,
      CONNECTIONS: '10',
      LIFETIME: '1s',
    },
  });
  await redirectionOfAll(sandbox, namespace, 'enabled');
  await allEncrypted(sandbox, await podIps(sandbox, namespace));
}

export function tallyOf(sandbox: Sandbox, namespace: string): Promise<Counts> {
  return tallyWhen(sandbox, loadIn(namespace), () => true);
}

export function losses(from: Counts, to: Counts): typeof NONE {
  return {
    failed: to.requests.failed - from.requests.failed,
    dropped: to.connections.dropped - from.connections.dropped,
    refused: to.connections.refused - from.connections.refused,
    wrong: to.messages.wrong - from.messages.wrong,
  };
}

/** From `since` on, and for the next two seconds' worth of new connections. */
export async function nothingLost(
  sandbox: Sandbox,
  namespace: string,
  since: Counts,
): Promise<void> {
  const from = await tallyOf(sandbox, namespace);
  const now = await tallyWhen(
    sandbox,
    loadIn(namespace),
    ({ requests, messages }) =>
      requests.ok > from.requests.ok + 2 * RATE && messages.echoed > from.messages.echoed,
  );
  const lost = losses(since, now);
  if (isDeepStrictEqual(lost, NONE)) return;
  const faults = await faultsOf(sandbox, loadIn(namespace));
  assert.deepEqual(lost, NONE, `${JSON.stringify(lost)}:\n${faults}`);
}
