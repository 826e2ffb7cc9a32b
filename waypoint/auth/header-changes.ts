// What an authorization service may change in a request or an answer. Pure. Called by external-authorization.ts and by
// whoever writes the answer. Invariant: no service can change how a message is framed or where it goes.

import type { HeaderList } from '../../mesh/http-request.ts';
import type { HeaderChange } from '../../wire/external-authorization.ts';

const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** RFC 9110 section 5.5, without what older parsers stumble over. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const FRAMING: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'content-length',
  'upgrade',
  'te',
  'trailer',
  'expect',
]);

export function isChangeable(name: string): boolean {
  return TOKEN.test(name) && !FRAMING.has(name);
}

/** Changes that may not be made are left out. */
export function applyChanges(headers: HeaderList, changes: readonly HeaderChange[]): HeaderList {
  let present = headers;
  for (const { name, value, how } of changes) {
    if (!isChangeable(name) || !VALUE.test(value)) continue;
    const isThere = present.some(([key]) => key === name);
    if (how === 'add-if-absent' && isThere) continue;
    if (how === 'set-if-present' && !isThere) continue;
    const kept = how === 'set' || how === 'set-if-present' ? without(present, name) : present;
    present = [...kept, [name, value]];
  }
  return present;
}

export function removeHeaders(headers: HeaderList, names: readonly string[]): HeaderList {
  const gone = new Set(names.map((name) => name.toLowerCase()).filter(isChangeable));
  return gone.size === 0 ? headers : headers.filter(([name]) => !gone.has(name));
}

function without(headers: HeaderList, name: string): HeaderList {
  return headers.filter(([key]) => key !== name);
}

/** `patterns`: lower-case names, with `*` at the beginning, at the end, or alone for all. */
export function namesMatch(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => {
    if (pattern === '*') return true;
    if (pattern.endsWith('*')) return name.startsWith(pattern.slice(0, -1));
    return pattern.startsWith('*') ? name.endsWith(pattern.slice(1)) : name === pattern;
  });
}

/** Parameters as a service wants them; the others keep their place and their spelling. */
export function changeQuery(
  query: string | undefined,
  set: readonly (readonly [string, string])[],
  remove: readonly string[],
): string | undefined {
  if (set.length === 0 && remove.length === 0) return query;
  const gone = new Set([...remove, ...set.map(([name]) => name)]);
  const kept = (query ?? '')
    .split('&')
    .filter((pair) => pair !== '' && !gone.has([...new URLSearchParams(pair)][0]?.[0] ?? ''));
  const added = set.map(([name, value]) => new URLSearchParams([[name, value]]).toString());
  const all = [...kept, ...added].join('&');
  return all === '' ? undefined : all;
}
