// An open connection as the admin door shows it, in /config_dump and in /connections. Called by config-dump.ts and
// admin-routes.ts.

import { formatIpPort } from '../mesh/address.ts';
import { formatIdentity } from '../mesh/identity.ts';
import type { ConnectionDump, OpenConnectionDump } from '../wire/config-dump.ts';
import type { OpenConnection } from './connections.ts';

export function describeConnection({ description, trail }: OpenConnection): ConnectionDump {
  const { src = '', originalDst = '' } = description;
  const actual = trail?.facts.destination;
  return {
    src,
    originalDst,
    actualDst: actual === undefined ? originalDst : formatIpPort(actual),
    protocol: trail?.facts.authority === undefined ? 'TCP' : 'HBONE',
  };
}

/** `name` is the pod's `namespace/name`; `now` is of the clock the trail was begun by. */
export function describeOpen(
  connection: OpenConnection,
  name: string,
  now: number,
): OpenConnectionDump {
  const { podUid, direction, trail } = connection;
  const { sourceIdentity, destinationIdentity } = trail?.facts ?? {};
  return {
    pod: podUid,
    name,
    direction,
    ...describeConnection(connection),
    srcIdentity: sourceIdentity && formatIdentity(sourceIdentity),
    dstIdentity: destinationIdentity && formatIdentity(destinationIdentity),
    ageMs: trail && Math.round(now - trail.beganAt),
    bytesSent: trail?.counts.sent,
    bytesReceived: trail?.counts.received,
  };
}
