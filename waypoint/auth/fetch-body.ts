// Fetches what an issuer publishes, over HTTP or HTTPS, for issuer-keys.ts. Invariants: bounded in bytes, ended by its
// signal, no redirects, and never from this machine itself or a link-local address: a policy's author must not reach
// through us what only we can (a cloud's metadata, our own admin door).

import { lookup } from 'node:dns';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { type IpAddress, isLoopback, parseIp } from '../../mesh/address.ts';
import { inCidr, parseCidr } from '../../mesh/cidr.ts';
import type { FetchBody } from './issuer-keys.ts';

const FORBIDDEN = ['0.0.0.0/8', '169.254.0.0/16', 'fe80::/10', '::/128'].map(parseCidr);

export type FetchParts = {
  /**
   * A byte stream through the mesh, for hosts that the mesh knows; undefined: the host is dialled plainly. What comes of
   * it is not checked against {@link FORBIDDEN}: the mesh's own addresses are workloads.
   */
  readonly connect?: (
    host: string,
    port: number,
    signal: AbortSignal,
  ) => Promise<Duplex> | undefined;
  /** Tests fetch from their own machine. */
  readonly isForbidden?: (ip: IpAddress) => boolean;
};

export function createFetchBody({ connect, isForbidden = isOurs }: FetchParts = {}): FetchBody {
  return async (url, { maxBytes }, signal) => {
    const { protocol, hostname, port } = new URL(url);
    if (protocol !== 'http:' && protocol !== 'https:')
      throw new Error(`${protocol} is not fetched`);
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    const secure = protocol === 'https:';
    const through = await connect?.(host, Number(port) || (secure ? 443 : 80), signal);
    if (through === undefined && isIP(host) !== 0 && isForbidden(parseIp(host))) {
      throw new Error(`${host} is an address that is not fetched from`);
    }
    const way =
      through === undefined
        ? { agent: false as const, lookup: guardedLookup(isForbidden) }
        : {
            createConnection: () =>
              secure
                ? connectTls({ socket: through, ...(isIP(host) === 0 ? { servername: host } : {}) })
                : through,
          };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = (secure ? httpsRequest : httpRequest)(
        url,
        { signal, headers: { accept: 'application/json' }, ...way },
        resolve,
      );
      outgoing.on('error', reject).end();
    });
    return readBody(response, maxBytes);
  };
}

async function readBody(response: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  if (response.statusCode !== 200) {
    response.destroy();
    throw new Error(`the answer was ${response.statusCode}`);
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    bytes += (chunk as Buffer).length;
    if (bytes > maxBytes) {
      response.destroy();
      throw new Error(`more than ${maxBytes} bytes`);
    }
    chunks.push(chunk as Buffer);
  }
  if (!response.complete) throw new Error('the answer broke off');
  return Buffer.concat(chunks);
}

/** The address that is dialled is the one that was checked: a name cannot lead elsewhere in between. */
function guardedLookup(isForbidden: (ip: IpAddress) => boolean): LookupFunction {
  return (hostname, options, done) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return done(error, '');
      const bad = addresses.find(({ address }) => isBad(address, isForbidden));
      if (bad !== undefined) {
        const why = `${hostname} leads to ${bad.address}, an address that is not fetched from`;
        return done(Object.assign(new Error(why), { code: 'EACCES' }), '');
      }
      const [first] = addresses;
      if (options.all === true) return done(null, addresses);
      return done(null, first?.address ?? '', first?.family);
    });
  };
}

/** One with a zone is link-local. */
function isBad(address: string, isForbidden: (ip: IpAddress) => boolean): boolean {
  return address.includes('%') || isForbidden(parseIp(address));
}

export function isOurs(ip: IpAddress): boolean {
  return isLoopback(ip) || FORBIDDEN.some((range) => inCidr(ip, range));
}
