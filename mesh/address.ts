// IP addresses and host:port pairs as values. Every address in the mesh goes through here once, so that one address
// has one text: v4 dotted, v6 in its RFC 5952 form, v4-mapped v6 as v4. Parsers take text from peers: they are strict.

/** Canonical text of an IPv4 or IPv6 address; made only by {@link parseIp} and {@link ipFromBytes}. */
export type IpAddress = string & { readonly __ip: true };

/** Where packets go: both halves checked. */
export type IpPort = { readonly ip: IpAddress; readonly port: number };

/** What the `:authority` of a CONNECT asks for (RFC 9113 section 8.5). */
export type Authority =
  | { readonly kind: 'address'; readonly ip: IpAddress; readonly port: number }
  | { readonly kind: 'hostname'; readonly hostname: string; readonly port: number };

export function isIpv6(ip: IpAddress): boolean {
  return ip.includes(':');
}

/** @throws SyntaxError when `text` is not an IPv4 or IPv6 literal (zones and brackets are refused) */
export function parseIp(text: string): IpAddress {
  const bytes = readIp(text);
  if (bytes === undefined) throw new SyntaxError(`Cannot read IP address "${text.slice(0, 100)}"`);
  return ipFromBytes(bytes);
}

/** 4 or 16 bytes in network order -> canonical text. @throws RangeError on any other length */
export function ipFromBytes(bytes: Uint8Array): IpAddress {
  if (bytes.length === 4) return bytes.join('.') as IpAddress;
  if (bytes.length !== 16) {
    throw new RangeError(`Cannot read IP address of ${bytes.length} bytes: expected 4 or 16`);
  }
  if (isV4Mapped(bytes)) return bytes.subarray(12).join('.') as IpAddress;
  return formatV6(bytes) as IpAddress;
}

/** Canonical text -> 4 or 16 bytes in network order. */
export function ipToBytes(ip: IpAddress): Uint8Array {
  const bytes = readIp(ip);
  if (bytes === undefined) throw new SyntaxError(`Cannot read IP address "${ip}"`);
  return bytes;
}

/** `1.2.3.4:80` or `[::1]:80`; the form of a CONNECT authority for an address (RFC 3986 section 3.2). */
export function formatIpPort(address: IpPort): string {
  return isIpv6(address.ip) ? `[${address.ip}]:${address.port}` : `${address.ip}:${address.port}`;
}

export function isLoopback(ip: IpAddress): boolean {
  return ip === '::1' || ip.startsWith('127.');
}

function isV4Mapped(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 10).every((b) => b === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
}

function readIp(text: string): Uint8Array | undefined {
  return text.includes(':') ? readV6(text) : readV4(text);
}

function readV4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [index, part] of parts.entries()) {
    // "01" is refused: some readers take it for octal, so it is no canonical text
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    bytes[index] = Number(part);
  }
  return bytes;
}

function readV6(text: string): Uint8Array | undefined {
  if (text.length > 45) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = readGroups(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? readGroups(halves[1] ?? '', true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined;
  return Uint8Array.from([...head, ...new Array<number>(missing).fill(0), ...tail]);
}

function readGroups(text: string, mayEndInV4: boolean): number[] | undefined {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    if (group.includes('.')) {
      const v4 = mayEndInV4 && index === groups.length - 1 ? readV4(group) : undefined;
      if (v4 === undefined) return undefined;
      bytes.push(...v4);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    }
  }
  return bytes;
}

/** RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups (the first of equals) as `::`. */
function formatV6(bytes: Uint8Array): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const hex = groups.map((group) => group.toString(16));
  if (best.start < 0) return hex.join(':');
  return `${hex.slice(0, best.start).join(':')}::${hex.slice(best.start + best.length).join(':')}`;
}
