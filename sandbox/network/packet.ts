// What was seen on the link between nodes, read from Ethernet frames. Called by both drivers' captures.
// Pure. Invariant: a frame that is cut short or of another kind gives undefined, never an exception.

import { type IpPort, ipFromBytes } from '../../mesh/address.ts';

export type LinkPacket = {
  /** Unix milliseconds. */
  readonly at: number;
  /** Port 0 for protocols without ports. */
  readonly source: IpPort;
  readonly destination: IpPort;
  readonly protocol: 'tcp' | 'udp' | 'icmp' | 'other';
  /** What TCP or UDP carries; empty for a bare ACK. */
  readonly payload: Buffer;
  /** The whole frame (netns), or the same bytes as `payload` (loopback, where there is no frame). */
  readonly raw: Buffer;
};

const ETHERNET_HEADER = 14;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;

const IPPROTO_ICMP = 1;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const IPPROTO_ICMPV6 = 58;
/** Hop-by-hop, routing and destination options: headers to step over (RFC 8200 section 4). */
const IPV6_EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 60]);

type Network = { source: Buffer; destination: Buffer; protocol: number; body: Buffer };

/** One Ethernet frame; undefined for what is not IP (ARP) or is cut short. The packet shares `frame`'s memory. */
export function readFrame(frame: Buffer, at: number): LinkPacket | undefined {
  if (frame.length < ETHERNET_HEADER) return undefined;
  const type = frame.readUInt16BE(12);
  const packet = frame.subarray(ETHERNET_HEADER);
  const network =
    type === ETHERTYPE_IPV4
      ? readIpv4(packet)
      : type === ETHERTYPE_IPV6
        ? readIpv6(packet)
        : undefined;
  if (network === undefined) return undefined;
  const transport = readTransport(network.protocol, network.body);
  if (transport === undefined) return undefined;
  return {
    at,
    source: { ip: ipFromBytes(network.source), port: transport.sourcePort },
    destination: { ip: ipFromBytes(network.destination), port: transport.destinationPort },
    protocol: transport.protocol,
    payload: transport.payload,
    raw: frame,
  };
}

function readIpv4(packet: Buffer): Network | undefined {
  if (packet.length < 20) return undefined;
  const header = ((packet[0] ?? 0) & 0x0f) * 4;
  const total = packet.readUInt16BE(2);
  const fragmentOffset = packet.readUInt16BE(6) & 0x1fff;
  if (header < 20 || packet.length < header || fragmentOffset !== 0) return undefined;
  // total 0: a segment larger than 64 KiB that the sender's device was to cut up
  const end = total === 0 ? packet.length : Math.min(total, packet.length);
  if (end < header) return undefined;
  return {
    source: packet.subarray(12, 16),
    destination: packet.subarray(16, 20),
    protocol: packet[9] ?? 0,
    body: packet.subarray(header, end),
  };
}

function readIpv6(packet: Buffer): Network | undefined {
  if (packet.length < 40) return undefined;
  const payloadLength = packet.readUInt16BE(4);
  const end = payloadLength === 0 ? packet.length : Math.min(40 + payloadLength, packet.length);
  let protocol = packet[6] ?? 0;
  let offset = 40;
  while (IPV6_EXTENSIONS.has(protocol)) {
    if (offset + 8 > end) return undefined;
    protocol = packet[offset] ?? 0;
    offset += ((packet[offset + 1] ?? 0) + 1) * 8;
  }
  if (offset > end) return undefined;
  return {
    source: packet.subarray(8, 24),
    destination: packet.subarray(24, 40),
    protocol,
    body: packet.subarray(offset, end),
  };
}

type Transport = Pick<LinkPacket, 'protocol' | 'payload'> & {
  sourcePort: number;
  destinationPort: number;
};

function readTransport(protocol: number, body: Buffer): Transport | undefined {
  if (protocol === IPPROTO_TCP) {
    const header = ((body[12] ?? 0) >> 4) * 4;
    if (body.length < 20 || header < 20 || body.length < header) return undefined;
    return { protocol: 'tcp', ...readPorts(body), payload: body.subarray(header) };
  }
  if (protocol === IPPROTO_UDP) {
    if (body.length < 8) return undefined;
    return { protocol: 'udp', ...readPorts(body), payload: body.subarray(8) };
  }
  const name = protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6 ? 'icmp' : 'other';
  return { protocol: name, sourcePort: 0, destinationPort: 0, payload: body };
}

function readPorts(body: Buffer): { sourcePort: number; destinationPort: number } {
  return { sourcePort: body.readUInt16BE(0), destinationPort: body.readUInt16BE(2) };
}
