// Kubernetes' texts for instants (RFC 3339), made from a Clock's milliseconds. Pure; used by statuses, events and logs.

/** `2026-01-02T03:04:05Z`: metav1.Time has whole seconds. */
export function rfc3339(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** `2026-01-02T03:04:05.678000Z`: metav1.MicroTime, as Leases have it. */
export function rfc3339Micro(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, -1)}000Z`;
}

/** `2026-01-02T03:04:05.678000000Z`: the stamp of a CRI log line; fixed width, so that texts sort like instants. */
export function rfc3339Nano(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, -1)}000000Z`;
}

/** Unix milliseconds, undefined when `text` is no RFC 3339 instant. */
export function parseTime(text: string): number | undefined {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
