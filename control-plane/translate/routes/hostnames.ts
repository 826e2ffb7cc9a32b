// Where a listener and a route agree on hostnames. Pure; called by gateway-parents.ts. A wildcard `*.a.test` stands for one
// label or more, never for `a.test` itself.

/**
 * Both sides' hostnames, each the narrower of two that meet. Empty: any host; undefined: they do not meet.
 */
export function meetingHostnames(
  listener: string | undefined,
  route: readonly string[],
): readonly string[] | undefined {
  const own = (listener ?? '').toLowerCase();
  const asked = route.map((hostname) => hostname.toLowerCase());
  if (own === '') return [...new Set(asked)];
  if (asked.length === 0) return [own];
  const met = asked.flatMap((hostname) => narrower(own, hostname) ?? []);
  return met.length === 0 ? undefined : [...new Set(met)];
}

/** Whether some host is of both; empty stands for any host. */
export function hostnamesMeet(a: readonly string[], b: readonly string[]): boolean {
  if (a.length === 0 || b.length === 0) return true;
  return a.some((one) => b.some((other) => narrower(one, other) !== undefined));
}

function narrower(a: string, b: string): string | undefined {
  if (a === b || covers(a, b)) return b;
  return covers(b, a) ? a : undefined;
}

function covers(wide: string, narrow: string): boolean {
  if (!wide.startsWith('*.')) return false;
  const suffix = wide.slice(1);
  return narrow.length > suffix.length && narrow.endsWith(suffix);
}
