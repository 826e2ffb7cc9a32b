// Addresses for hosts that have none: from 240.240.0.0/16 and 2001:2::/48, the reference's ranges, so that a connection to
// such a host can be told apart by where it goes. Pure. Called by entries.ts. Invariants: no two hosts share an address;
// every replica comes to the same ones; a host keeps what its status says it has.

import { type IpAddress, ipFromBytes, ipToBytes, parseIp } from '../../mesh/address.ts';
import { inCidr } from '../../mesh/cidr.ts';

/** A host of one object; `assigned` is what its status says, whoever wrote it. */
export type AddressWish = { readonly key: string; readonly assigned: readonly string[] };

const V4_RANGE = { ip: parseIp('240.240.0.0'), prefixLength: 16 };
/** Neither the first address of the range nor its last. */
const SLOTS = 65_534;

/** Both addresses of each host by its key, oldest wish first; a host for which none is left is missing. */
export function assignAddresses(
  wishes: readonly AddressWish[],
): ReadonlyMap<string, readonly IpAddress[]> {
  const owners = new Map<number, string>();
  const slots = new Map<string, number>();
  const take = (key: string, slot: number): void => {
    owners.set(slot, key);
    slots.set(key, slot);
  };
  for (const { key, assigned } of wishes) {
    const slot = assigned.map(slotOf).find((found) => found !== undefined);
    if (slot !== undefined && !owners.has(slot) && !slots.has(key)) take(key, slot);
  }
  for (const { key } of wishes) {
    if (slots.has(key) || owners.size >= SLOTS) continue;
    let slot = hashOf(key) % SLOTS;
    while (owners.has(slot)) slot = (slot + 1) % SLOTS;
    take(key, slot);
  }
  return new Map([...slots].map(([key, slot]) => [key, addressesOf(slot)]));
}

function addressesOf(slot: number): IpAddress[] {
  const number = slot + 1;
  const low = [number >> 8, number & 0xff];
  const v6 = new Uint8Array(16);
  v6.set([0x20, 0x01, 0, 2]);
  v6.set(low, 14);
  return [ipFromBytes(Uint8Array.from([240, 240, ...low])), ipFromBytes(v6)];
}

function slotOf(text: string): number | undefined {
  try {
    const ip = parseIp(text);
    if (!inCidr(ip, V4_RANGE)) return undefined;
    const [, , high = 0, low = 0] = ipToBytes(ip);
    const slot = ((high << 8) | low) - 1;
    return slot >= 0 && slot < SLOTS ? slot : undefined;
  } catch {
    return undefined;
  }
}

/** FNV-1a with a last mix: hosts that differ in one letter shall not be neighbours. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  hash ^= hash >>> 15;
  return Math.imul(hash, 0x2c1b3c6d) >>> 0;
}
