// Header lines as Node's parsers hand them over, name and value in turns, as a list of ours, and the way back. Called by both
// servers and both clients.

import type { HeaderList } from '../../mesh/http-request.ts';

/** Names in lower case; the pseudo headers of HTTP/2 are left out. */
export function pairsOf(raw: readonly string[]): [name: string, value: string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? '';
    if (!name.startsWith(':')) pairs.push([name.toLowerCase(), raw[at + 1] ?? '']);
  }
  return pairs;
}

/** Trailers are taken by Node in this shape only. */
export function recordOf(list: HeaderList): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = {};
  for (const [name, value] of list) {
    const before = record[name];
    record[name] = before === undefined ? value : [before, value].flat();
  }
  return record;
}
