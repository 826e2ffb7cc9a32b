// Capture options in an enrolment message <-> values. Called by discovery.ts. An enrolment without them (an older control
// plane) captures everything; what is no option is refused whole, never taken for a narrower or wider one.

import { ipToBytes } from '../mesh/address.ts';
import {
  CAPTURE_EVERYTHING,
  type CaptureOptions,
  MAX_RANGES,
  type PortRange,
} from '../mesh/capture-options.ts';
import { cidrFromBytes } from '../mesh/cidr.ts';
import type { Cidr } from '../mesh/policy.ts';

type CidrMessage = { address: Uint8Array; prefixLength: number };

/** The message `CaptureOptions` of proto/delta.ts. */
export type CaptureMessage = {
  excludeInboundPorts: PortRange[];
  excludeOutboundPorts: PortRange[];
  excludeInboundCidrs: CidrMessage[];
  excludeOutboundCidrs: CidrMessage[];
  dns: string;
  bypassInbound: boolean;
};

const HIGHEST_PORT = 65_535;
const DNS = { DEFAULT: 'default', ON: 'on', OFF: 'off' } as const;

export function writeCapture(options: CaptureOptions): CaptureMessage {
  return {
    excludeInboundPorts: [...options.excludeInboundPorts],
    excludeOutboundPorts: [...options.excludeOutboundPorts],
    excludeInboundCidrs: options.excludeInboundCidrs.map(writeCidr),
    excludeOutboundCidrs: options.excludeOutboundCidrs.map(writeCidr),
    dns: options.dns.toUpperCase(),
    bypassInbound: options.bypassInbound,
  };
}

/** @throws RangeError when a port, range or count is out of bounds */
export function readCapture(message: CaptureMessage | null): CaptureOptions {
  if (message === null) return CAPTURE_EVERYTHING;
  const dns = Object.entries(DNS).find(([name]) => name === message.dns)?.[1];
  if (dns === undefined) {
    throw new RangeError(`DNS capture ${message.dns} is not known here`);
  }
  return {
    excludeInboundPorts: atMost(message.excludeInboundPorts).map(readPorts),
    excludeOutboundPorts: atMost(message.excludeOutboundPorts).map(readPorts),
    excludeInboundCidrs: atMost(message.excludeInboundCidrs).map(readCidr),
    excludeOutboundCidrs: atMost(message.excludeOutboundCidrs).map(readCidr),
    dns,
    bypassInbound: message.bypassInbound,
  };
}

function atMost<T>(list: readonly T[]): readonly T[] {
  if (list.length <= MAX_RANGES) return list;
  throw new RangeError(`${list.length} ranges in one capture option: at most ${MAX_RANGES}`);
}

function readPorts({ first, last }: PortRange): PortRange {
  if (first < 1 || last < first || last > HIGHEST_PORT) {
    throw new RangeError(`${first}-${last} is no range of ports`);
  }
  return { first, last };
}

function writeCidr({ ip, prefixLength }: Cidr): CidrMessage {
  return { address: ipToBytes(ip), prefixLength };
}

function readCidr({ address, prefixLength }: CidrMessage): Cidr {
  return cidrFromBytes(address, prefixLength);
}
