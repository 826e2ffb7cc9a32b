// The :authority of a CONNECT request: where one byte stream is to go (RFC 9113 section 8.5). Written by whoever opens a
// stream, read by whoever answers it. Strict: it comes from a peer.

import { type Authority, formatIpPort, parseIp } from '../mesh/address.ts';

// RFC 1035: 253 characters; labels of letters, digits, hyphens (and underscores, which real names have)
const HOSTNAME =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
const SHAPE = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([^[\]:@/\s]{1,253})):(\d{1,5})$/;

/** `1.2.3.4:80`, `[::1]:80` or `name.example:80`; undefined for anything else. */
export function readAuthority(text: string): Authority | undefined {
  const [, v6, name, digits] = SHAPE.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port < 1 || port > 65535 || String(port) !== digits) return undefined;
  const literal = v6 ?? name ?? '';
  // only digits and dots: an address or nothing, never a name
  if (v6 !== undefined || /^[\d.]+$/.test(literal)) {
    try {
      const ip = parseIp(literal);
      return v6 !== undefined && !literal.includes(':') ? undefined : { kind: 'address', ip, port };
    } catch {
      return undefined;
    }
  }
  const hostname = literal.toLowerCase();
  return HOSTNAME.test(hostname) ? { kind: 'hostname', hostname, port } : undefined;
}

export function formatAuthority(authority: Authority): string {
  if (authority.kind === 'address') return formatIpPort(authority);
  return `${authority.hostname}:${authority.port}`;
}
