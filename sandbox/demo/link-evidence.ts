// What captured packets prove about the link between nodes: readable text, or nothing but TLS on the tunnel's port.
// Called by the tour and by tests. Pure. It looks only at packets between the pods it is told of.

import type { IpPort } from '../../mesh/address.ts';
import { readServerHello } from '../../wire/server-hello.ts';

export const HBONE_PORT = 15008;

/** What the evidence needs of a captured packet. */
export type SeenPacket = {
  readonly source: IpPort;
  readonly destination: IpPort;
  readonly protocol: string;
  readonly payload: Buffer;
};

export type LinkEvidence = {
  /** TCP segments with a payload, between pods of interest. */
  readonly segments: number;
  readonly bytes: number;
  /** Segments on the tunnel's port. */
  readonly tunnelSegments: number;
  /** Segments on any other port. */
  readonly otherSegments: number;
  /** A readable line found on the link, with its two ends; undefined when there is none. */
  readonly clearText:
    | { readonly source: IpPort; readonly destination: IpPort; readonly excerpt: string }
    | undefined;
  /** Handshakes answered during the capture, by TLS version (0x0304 is 1.3). */
  readonly handshakes: ReadonlyMap<number, number>;
};

// What HTTP looks like to anybody on the wire: a request line, a status line, or a header our shop sends.
const READABLE =
  /(?:GET|POST|PUT|HEAD|DELETE) \/[^\r\n]*HTTP\/1\.1|HTTP\/1\.1 \d{3}[^\r\n]*|PRI \* HTTP\/2\.0/;
const EXCERPT_CHARS = 240;

export function linkEvidence(
  packets: readonly SeenPacket[],
  podAddresses: ReadonlySet<string>,
): LinkEvidence {
  let [bytes, tunnelSegments, otherSegments] = [0, 0, 0];
  let clearText: LinkEvidence['clearText'];
  const handshakes = new Map<number, number>();
  const between = packets.filter(
    (packet) =>
      packet.protocol === 'tcp' &&
      packet.payload.length > 0 &&
      podAddresses.has(packet.source.ip) &&
      podAddresses.has(packet.destination.ip),
  );
  for (const { source, destination, payload } of between) {
    bytes += payload.length;
    if (source.port === HBONE_PORT || destination.port === HBONE_PORT) tunnelSegments++;
    else otherSegments++;
    const text = payload.toString('latin1');
    const readable = READABLE.exec(text);
    if (clearText === undefined && readable !== null) {
      clearText = {
        source,
        destination,
        excerpt: text.slice(readable.index, readable.index + EXCERPT_CHARS),
      };
    }
    const hello = readServerHello(payload);
    if (hello !== undefined)
      handshakes.set(hello.version, (handshakes.get(hello.version) ?? 0) + 1);
  }
  return { segments: between.length, bytes, tunnelSegments, otherSegments, clearText, handshakes };
}

/** True when the link carried traffic of these pods and all of it was inside tunnels. */
export function isAllEncrypted(evidence: LinkEvidence): boolean {
  return (
    evidence.tunnelSegments > 0 && evidence.otherSegments === 0 && evidence.clearText === undefined
  );
}
