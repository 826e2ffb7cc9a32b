// Single values of an AuthorizationPolicy: texts with wildcards, accounts, ports, address ranges. Pure. Called by the readers
// of rules, for node agents and for waypoints. What cannot be read is undefined, and its reader says so.

import { parseCidr } from '../../mesh/cidr.ts';
import type { Cidr, ServiceAccountMatch, StringMatch } from '../../mesh/policy.ts';

/**
 * `*` anything but nothing, `*x` by its end, `x*` by its beginning, else the text itself. Nothing at all would be what a
 * caller without an identity has, and no name has a `*` in it: one that is left would match nobody, and so a DENY nothing.
 */
export function readText(text: string): StringMatch | undefined {
  if (text === '*') return { kind: 'presence' };
  const kind = text.startsWith('*') ? 'suffix' : text.endsWith('*') ? 'prefix' : 'exact';
  const value = kind === 'suffix' ? text.slice(1) : kind === 'prefix' ? text.slice(0, -1) : text;
  return value === '' || value.includes('*') ? undefined : { kind, value };
}

/** `namespace/name`, or `name` in the policy's own namespace. */
export function readAccount(text: string, own: string): ServiceAccountMatch | undefined {
  const parts = text.split('/');
  if (parts.length > 2 || parts.includes('') || text.includes('*')) return undefined;
  const [first = '', second] = parts;
  return second === undefined
    ? { namespace: own, serviceAccount: first }
    : { namespace: first, serviceAccount: second };
}

export function readPort(text: string): number | undefined {
  if (!/^[1-9]\d{0,4}$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65_535 ? port : undefined;
}

export function readCidr(text: string): Cidr | undefined {
  try {
    return parseCidr(text);
  } catch {
    return undefined;
  }
}
