// Is an address inside a range? Policies and service ranges ask. Pure.

import { type IpAddress, ipToBytes } from './address.ts';
import type { Cidr } from './policy.ts';

/** Addresses of the two families never match each other. */
export function inCidr(ip: IpAddress, range: Cidr): boolean {
  const address = ipToBytes(ip);
  const base = ipToBytes(range.ip);
  if (address.length !== base.length) return false;
  const whole = range.prefixLength >> 3;
  for (let i = 0; i < whole; i++) if (address[i] !== base[i]) return false;
  const bits = range.prefixLength & 7;
  if (bits === 0) return true;
  const mask = (0xff << (8 - bits)) & 0xff;
  return ((address[whole] ?? 0) & mask) === ((base[whole] ?? 0) & mask);
}
