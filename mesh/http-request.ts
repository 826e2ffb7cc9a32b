// A request as decisions see it: matched against routes, judged by policy, told of in logs. Made by the waypoint from
// whichever HTTP version it came in.

import type { IpAddress } from './address.ts';
import type { Identity } from './identity.ts';

/** In the order they came; names in lower case, a name that came twice is there twice. No pseudo headers. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

export type HttpRequest = {
  /** As sent: methods are case-sensitive (RFC 9110 section 9.1). */
  readonly method: string;
  readonly scheme: 'http' | 'https';
  /** `host` or `host:port` in lower case, of `:authority`, the absolute form, or Host. */
  readonly authority: string;
  /** Normalised (dot segments resolved, no ambiguous encodings), without the query; `*` for OPTIONS *. */
  readonly path: string;
  /** Without `?`; undefined when there was none, which is not the same as an empty one. */
  readonly query: string | undefined;
  readonly headers: HeaderList;
};

/** Who asks, as the tunnel proved it. */
export type RequestSource = {
  /** undefined: it came without a certificate (plain text from outside the mesh). */
  readonly identity: Identity | undefined;
  readonly ip: IpAddress;
};

/** The first value of a header; `name` is lower case. */
export function headerOf(
  { headers }: Pick<HttpRequest, 'headers'>,
  name: string,
): string | undefined {
  for (const [key, value] of headers) if (key === name) return value;
  return undefined;
}

/** Every line of a header as one value, joined with "," as RFC 9110 section 5.3 allows; undefined: it is not there. */
export function joinedHeaderOf(
  { headers }: Pick<HttpRequest, 'headers'>,
  name: string,
): string | undefined {
  const values = headers.filter(([key]) => key === name).map(([, value]) => value);
  return values.length === 0 ? undefined : values.join(',');
}
