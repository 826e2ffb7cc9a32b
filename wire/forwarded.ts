// The `forwarded` header (RFC 7239) as ambient proxies use it: the caller's address and the service it asked for.
// For telemetry only: the receiver believes the certificate and the connection, never `for`.

import { formatIpPort, type IpPort } from '../mesh/address.ts';

const HOST = /(?:^|[;,]\s*)host=(?:"([^"\\]{1,255})"|([^\s;,"]{1,255}))/i;

export function formatForwarded(source: IpPort, serviceHostname: string | undefined): string {
  const from = `for="${formatIpPort(source)}"`;
  return serviceHostname === undefined ? from : `${from};host=${serviceHostname}`;
}

/** The `host` of the first element that has one. */
export function readForwardedHost(text: string): string | undefined {
  const [, quoted, plain] = HOST.exec(text.slice(0, 4096)) ?? [];
  return (quoted ?? plain)?.toLowerCase();
}
