// Addresses and node ports for services. What is taken is read from the stored services, so nothing can leak.

import { ipFromBytes, ipToBytes, parseIp } from '../../../mesh/address.ts';
import type { Cluster } from '../cluster.ts';
import { SERVICES } from '../cluster.ts';
import { isRecord, listAt, recordAt } from '../object.ts';
import { bucketOf } from '../registry.ts';

export type Family = 'IPv4' | 'IPv6';

/** The range of node ports of a real cluster. */
const NODE_PORTS = { first: 30_000, last: 32_767 };
/** Addresses of a range that are handed out: a sandbox's range may be a /64. */
const MAX_RANGE = 65_536n;

export function familyOf(address: string): Family {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

/** The address of the `kubernetes` service: the first of the range after the network's own. */
export function firstServiceAddress(cidr: string): string {
  return addressAt(cidr, 1n);
}

export function takenAddresses(cluster: Cluster): Set<string> {
  const taken = new Set<string>();
  for (const service of cluster.store.values(bucketOf(SERVICES))) {
    for (const address of listAt(service['spec'], 'clusterIPs')) taken.add(String(address));
  }
  return taken;
}

/** Where every cluster has its DNS by custom: the tenth address of the range. Ours listens there without a Service. */
const DNS_OFFSET = 10n;

/** The lowest free address of `cidr`; undefined when it is full. */
export function freeAddress(cidr: string, taken: ReadonlySet<string>): string | undefined {
  const size = rangeSize(cidr);
  const last = familyOf(cidr) === 'IPv4' ? size - 1n : size;
  for (let offset = 1n; offset < last; offset += 1n) {
    // only who asks for it by name gets it
    if (offset === DNS_OFFSET) continue;
    const address = addressAt(cidr, offset);
    if (!taken.has(address)) return address;
  }
  return undefined;
}

export function inRange(cidr: string, address: string): boolean {
  try {
    const [base = '', prefix = '0'] = cidr.split('/');
    const network = ipToBytes(parseIp(base));
    const bytes = ipToBytes(parseIp(address));
    if (network.length !== bytes.length) return false;
    const hostBits = BigInt(network.length * 8 - Number(prefix));
    return toNumber(network) >> hostBits === toNumber(bytes) >> hostBits;
  } catch {
    return false;
  }
}

export function freeNodePort(cluster: Cluster, alsoTaken: ReadonlySet<number>): number | undefined {
  const taken = new Set(alsoTaken);
  for (const service of cluster.store.values(bucketOf(SERVICES))) {
    for (const port of listAt(recordAt(service, 'spec'), 'ports')) {
      if (isRecord(port) && typeof port['nodePort'] === 'number') taken.add(port['nodePort']);
    }
  }
  for (let port = NODE_PORTS.first; port <= NODE_PORTS.last; port += 1) {
    if (!taken.has(port)) return port;
  }
  return undefined;
}

function rangeSize(cidr: string): bigint {
  const [base = '', prefix = '0'] = cidr.split('/');
  const bits = base.includes(':') ? 128 : 32;
  const size = 1n << BigInt(bits - Number(prefix));
  return size < MAX_RANGE ? size : MAX_RANGE;
}

function addressAt(cidr: string, offset: bigint): string {
  const [base = '', prefix = '0'] = cidr.split('/');
  const bytes = ipToBytes(parseIp(base));
  const hostBits = BigInt(bytes.length * 8 - Number(prefix));
  let value = ((toNumber(bytes) >> hostBits) << hostBits) + offset;
  const result = new Uint8Array(bytes.length);
  for (let index = bytes.length - 1; index >= 0; index -= 1) {
    result[index] = Number(value & 0xffn);
    value >>= 8n;
  }
  return ipFromBytes(result);
}

function toNumber(bytes: Uint8Array): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
