// Is an address inside a range? Policies and service ranges ask. Pure.

import { type IpAddress, ipFromBytes, ipToBytes, isIpv6, parseIp } from './address.ts';
import type { Cidr } from './policy.ts';

/** What a v4-mapped range counts before its IPv4 bits begin (RFC 4291 section 2.5.5.2). */
const MAPPED_BITS = 96;

/** An address of 4 or 16 bytes and the length of its prefix. @throws RangeError when they are no range */
export function cidrFromBytes(bytes: Uint8Array, prefixLength: number): Cidr {
  const ip = ipFromBytes(bytes);
  const bits = ip.includes(':') ? 128 : 32;
  // a mapped address is v4 from here on, so its prefix has to be counted as v4 too
  const length = bytes.length * 8 > bits ? prefixLength - MAPPED_BITS : prefixLength;
  if (!Number.isInteger(length) || length < 0 || length > bits) {
    throw new RangeError(`Cannot read address range ${ip}/${prefixLength}: no such prefix`);
  }
  return { ip, prefixLength: length };
}

/** `10.0.0.0/8` */
export function formatCidr(range: Cidr): string {
  return `${range.ip}/${range.prefixLength}`;
}

/** Addresses of the two families never match each other. */
export function inCidr(ip: IpAddress, range: Cidr): boolean {
  if (isIpv6(ip) !== isIpv6(range.ip)) return false;
  if (!isIpv6(ip)) {
    // what policies ask for each connection, range by range: no bytes are made for it
    const size = 2 ** (32 - range.prefixLength);
    return Math.floor(v4Number(ip) / size) === Math.floor(v4Number(range.ip) / size);
  }
  const address = ipToBytes(ip);
  const base = ipToBytes(range.ip);
  const whole = range.prefixLength >> 3;
  for (let i = 0; i < whole; i++) if (address[i] !== base[i]) return false;
  const bits = range.prefixLength & 7;
  if (bits === 0) return true;
  const mask = (0xff << (8 - bits)) & 0xff;
  return ((address[whole] ?? 0) & mask) === ((base[whole] ?? 0) & mask);
}

const DOT = 46;
const ZERO = 48;

/** An IpAddress is canonical, so there is nothing in it but digits and dots. */
function v4Number(ip: IpAddress): number {
  let value = 0;
  let part = 0;
  for (let i = 0; i < ip.length; i++) {
    const code = ip.charCodeAt(i);
    if (code !== DOT) part = part * 10 + code - ZERO;
    else {
      value = value * 256 + part;
      part = 0;
    }
  }
  return value * 256 + part;
}

/** `10.0.0.0/8`, `fd00::/8`, or an address alone for itself only. @throws SyntaxError naming what is wrong */
export function parseCidr(text: string): Cidr {
  const [address = '', length, ...more] = text.split('/');
  const ip = parseIp(address);
  const most = isIpv6(ip) ? 128 : 32;
  if (length === undefined) return { ip, prefixLength: most };
  if (more.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > most) {
    throw new SyntaxError(
      `Cannot read address range "${text.slice(0, 100)}": its prefix must be 0 to ${most}`,
    );
  }
  return { ip, prefixLength: Number(length) };
}
