// A replica of the CA as far as the root goes: real but for Kubernetes, which is in memory, and the clock. Used by the tests
// of the root; whatever a test starts ends with it.

import { afterEach } from 'node:test';
import type { MemoryKube } from '../runtime/kubernetes/memory.ts';
import type { ConfigMap, Secret } from '../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS, SECRETS } from '../runtime/kubernetes/resources.ts';
import { silentLog } from '../runtime/log.ts';
import type { ManualClock } from '../runtime/manual-clock.ts';
import { ROOT_MAP, ROTATION_MAP, readRotationStatus } from '../wire/rotation.ts';
import { lookAfterRoot } from './leadership.ts';
import { followRoot } from './root.ts';
import type { Participant } from './rotate.ts';

export const NAMESPACE = 'ambit-system';
export const DAY_MS = 86_400_000;
export const settings = {
  namespace: NAMESPACE,
  pluggedSecret: 'cacerts',
  trustDomain: 'cluster.local',
  rootTtlMs: 3650 * DAY_MS,
  maxTtlMs: 90 * DAY_MS,
};

export const running: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of running.splice(0)) await one.close();
});

export function replica(
  client: MemoryKube,
  clock: ManualClock,
  holder: string,
  agents: readonly Participant[] = [],
) {
  const parts = { client, clock, log: silentLog };
  const root = followRoot(parts, settings);
  const leader = {
    ...parts,
    root,
    participants: () => agents,
    runs: () => true,
    identities: () => 0,
  };
  const leadership = lookAfterRoot(leader, { ...settings, holder });
  const close = async (): Promise<void> => {
    await leadership.close();
    await root.close();
  };
  running.push({ close });
  return { root, leadership, close, rootsPem: () => root.current()?.signer.rootsPem };
}

export const secretOf = (client: MemoryKube) =>
  client.get<Secret>(SECRETS, 'ambit-ca-root', NAMESPACE) as Promise<Secret>;
export const published = async (client: MemoryKube, key = 'root-cert.pem') =>
  (await client.get<ConfigMap>(CONFIG_MAPS, ROOT_MAP, NAMESPACE))?.data?.[key];
export const statusOf = async (client: MemoryKube) =>
  readRotationStatus(
    (await client.get<ConfigMap>(CONFIG_MAPS, ROTATION_MAP, NAMESPACE))?.data?.['status'],
  );
