// The `traceparent` header (W3C Trace Context, version 00): joins the log lines of both ends of a tunnel.

const SHAPE = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;
const NO_TRACE = '0'.repeat(32);
const NO_SPAN = '0'.repeat(16);

/** The header when it is valid, else undefined; all-zero identifiers are not (section 3.2.2). */
export function readTraceparent(text: string | undefined): string | undefined {
  const [, trace, span] = SHAPE.exec(text ?? '') ?? [];
  return trace === undefined || trace === NO_TRACE || span === NO_SPAN ? undefined : text;
}

/** A new, unsampled trace from 24 random bytes. */
export function newTraceparent(randomBytes: Uint8Array): string {
  const hex = [...randomBytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `00-${hex.slice(0, 32)}-${hex.slice(32, 48)}-00`;
}
