// Asks the CA for certificates over gRPC. Used by the node agent, waypoints and the control plane. The CA proves its
// SPIFFE identity, we our projected token; root and token are read again for each request, because both are renewed.

import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { formatIdentity, type Identity } from '../mesh/identity.ts';
import {
  type CertificateRequest,
  type CertificateResponse,
  CREATE_CERTIFICATE,
} from '../wire/issuance.ts';
import type { Log } from './log.ts';
import { expectIdentity } from './peer-identity.ts';
import { mergeRoots, splitPem } from './trust.ts';

export type IssuanceSettings = {
  /** `host:port` of the CA. */
  readonly address: string;
  readonly rootCertFile: string;
  /** PEM roots believed beside the file's: what discovery told may be ahead of a mounted file. */
  readonly moreRoots?: () => readonly string[];
  readonly tokenFile: string;
  readonly serverIdentity: Identity;
  readonly clusterId: string;
};

export type IssueOrder = {
  /** Whose certificate; our own without it. */
  readonly identity?: Identity;
  readonly csrPem: string;
  /** 0 asks for the CA's default. */
  readonly ttlSeconds: number;
};

export interface IssuanceClient {
  /** The chain: leaf, intermediates, and the roots last. @throws Error that says what the CA answered */
  issue(order: IssueOrder, signal?: AbortSignal): Promise<{ readonly chain: readonly string[] }>;
  close(): void;
}

// A CA that is asked by many at once queues; beyond this the caller's own retry is the better queue.
const DEADLINE_MS = 10_000;

export function createIssuanceClient(
  parts: { readonly log: Log },
  settings: IssuanceSettings,
): IssuanceClient {
  let open: { readonly root: string; readonly client: Client } | undefined;

  /** One connection for all requests, made anew when the root file says something else. */
  const clientFor = (root: string): Client => {
    if (open?.root === root) return open.client;
    if (open !== undefined) parts.log.info('The root changed: connecting to the CA anew');
    open?.client.close();
    const secure = credentials.createSsl(Buffer.from(root), null, null, {
      checkServerIdentity: expectIdentity(settings.serverIdentity),
    });
    const client = new Client(settings.address, secure, {
      // TLS forbids an address as server name; it plays no part, the identity is what is checked
      ...(isIP(hostOf(settings.address)) === 0
        ? {}
        : { 'grpc.ssl_target_name_override': settings.serverIdentity.serviceAccount }),
      // a look-up of service configuration in DNS would only delay the first request
      'grpc.service_config_disable_resolution': 1,
      'grpc.enable_retries': 0,
      // gRPC's own wait between connection attempts goes up to two minutes: too long for a CA that just restarted
      'grpc.initial_reconnect_backoff_ms': 200,
      'grpc.max_reconnect_backoff_ms': 5000,
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
    });
    open = { root, client };
    return client;
  };

  return {
    async issue(order, signal) {
      signal?.throwIfAborted();
      const [mounted, token] = await Promise.all([
        readFile(settings.rootCertFile, 'utf8'),
        readFile(settings.tokenFile, 'utf8'),
      ]);
      const root = allRoots(mounted, settings.moreRoots?.() ?? []);
      const metadata = new Metadata();
      metadata.set('authorization', `Bearer ${token.trim()}`);
      metadata.set('clusterid', settings.clusterId);
      const request: CertificateRequest = {
        csr: order.csrPem,
        validitySeconds: order.ttlSeconds,
        impersonatedIdentity:
          order.identity === undefined ? undefined : formatIdentity(order.identity),
      };
      const whose = request.impersonatedIdentity ?? 'this process';
      const response = await call(clientFor(root), request, metadata, signal).catch(
        (error: ServiceError) => {
          signal?.throwIfAborted();
          const code = status[error.code] ?? String(error.code);
          throw new Error(
            `Cannot get a certificate for ${whose} from the CA at ${settings.address}: ${code}: ${error.details}`,
            { cause: error },
          );
        },
      );
      if (response.chain.length < 2) {
        throw new Error(
          `Cannot use the certificate for ${whose} from the CA at ${settings.address}: a chain of ${response.chain.length}, expected leaf and root`,
        );
      }
      return { chain: response.chain };
    },
    close() {
      open?.client.close();
      open = undefined;
    },
  };
}

/** The same text for the same roots: a bundle that says what the file says must not cost a connection. */
function allRoots(mounted: string, more: readonly string[]): string {
  try {
    return mergeRoots(splitPem(mounted), more.flatMap(splitPem)).toSorted().join('');
  } catch {
    // the TLS library says best what is wrong with the file
    return mounted;
  }
}

function hostOf(address: string): string {
  return address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
}

function call(
  client: Client,
  request: CertificateRequest,
  metadata: Metadata,
  signal: AbortSignal | undefined,
): Promise<CertificateResponse> {
  const { path, requestSerialize, responseDeserialize } = CREATE_CERTIFICATE;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => outgoing.cancel();
    const outgoing = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata,
      { deadline: Date.now() + DEADLINE_MS },
      (error, response) => {
        signal?.removeEventListener('abort', onAbort);
        if (error !== null) reject(error);
        else if (response === undefined) reject(new Error('The CA sent an empty answer'));
        else resolve(response);
      },
    );
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
