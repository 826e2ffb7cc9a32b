// Short stable names from content: pod template hashes, slice names, event names.

import { createHash } from 'node:crypto';

// without vowels and easily confused digits, so that no hash spells a word
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

/** The same text gives the same name, on any machine and in any process. */
export function shortHash(text: string, length = 10): string {
  const digest = createHash('sha256').update(text).digest();
  let name = '';
  for (const byte of digest.subarray(0, length)) name += ALPHABET[byte % ALPHABET.length];
  return name;
}

/** JSON with sorted keys and without what is undefined: equal values give equal text. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`);
  return `{${fields.join(',')}}`;
}

export function same(one: unknown, other: unknown): boolean {
  return canonical(one) === canonical(other);
}
