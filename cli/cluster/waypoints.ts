// The snapshot a waypoint decides by, fetched from the admin door of one of its pods. Called by the command explain.

import type { Snapshot } from '../../mesh/snapshot.ts';
import { GATEWAY_NAME } from '../../mesh/waypoint.ts';
import type { KubeClient } from '../../runtime/kubernetes/client.ts';
import type { Pod } from '../../runtime/kubernetes/objects.ts';
import { PODS } from '../../runtime/kubernetes/resources.ts';
import { decodeShown } from '../../runtime/shown-snapshot.ts';
import { CommandFailure } from '../exit.ts';
import { bytesThroughPod } from './pod-http.ts';

const ADMIN_PORT = 15000;

/** @throws CommandFailure when none of its pods runs, or cannot be asked */
export async function waypointSnapshot(
  client: KubeClient,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Promise<Snapshot> {
  const labelSelector = `${GATEWAY_NAME}=${name}`;
  const { items } = await client.list<Pod>(PODS, { namespace, labelSelector });
  const pod = items.find(
    ({ metadata, status }) =>
      metadata.deletionTimestamp === undefined && status?.phase === 'Running',
  )?.metadata.name;
  if (pod === undefined) {
    throw new CommandFailure(
      `No pod of waypoint ${namespace}/${name} runs. See why: ambit waypoint status ${name} -n ${namespace}`,
    );
  }
  try {
    const url = { namespace, pod, port: ADMIN_PORT, path: '/snapshot' };
    return decodeShown(await bytesThroughPod(client, url));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CommandFailure(
      `Cannot ask waypoint pod ${namespace}/${pod} what it knows: ${why}. Is it of the same version as this cli?`,
      { cause },
    );
  }
}
