// The CA's door: gRPC over TLS, one method. Knows gRPC and nothing of certificates' contents; answer.ts decides. The
// serving certificate is replaced without a restart and without touching open connections.

import {
  experimental,
  type handleUnaryCall,
  Server,
  type ServerCredentials,
  status,
} from '@grpc/grpc-js';
import { bearerToken } from '../runtime/kubernetes/token-review.ts';
import type { Log } from '../runtime/log.ts';
import type { OwnCertificate } from '../runtime/own-certificate.ts';
import {
  type CertificateRequest,
  type CertificateResponse,
  CREATE_CERTIFICATE,
} from '../wire/issuance.ts';
import type { CertificateAnswer, CertificateCall } from './answer.ts';

export type CaServer = {
  readonly port: number;
  /** New connections get this certificate from now on. */
  use(certificate: OwnCertificate): void;
  close(): Promise<void>;
};

export type ServeParts = {
  readonly log: Log;
  readonly answer: (call: CertificateCall) => Promise<CertificateAnswer>;
};

// A CSR is refused above 16 kB; the rest of a message is small.
const MAX_MESSAGE_BYTES = 64 * 1024;
// An agent asks for at most eight at once over one connection.
const MAX_STREAMS = 100;
// Calls under way get this long to end before their connections are cut.
const CLOSE_MS = 5000;

export async function serveIssuance(
  parts: ServeParts,
  settings: { readonly host: string | undefined; readonly port: number },
): Promise<CaServer> {
  const server = new Server({
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_concurrent_streams': MAX_STREAMS,
    // a client that vanished without a word is noticed
    'grpc.keepalive_time_ms': 60_000,
    'grpc.keepalive_timeout_ms': 20_000,
  });
  const handler: handleUnaryCall<CertificateRequest, CertificateResponse> = (call, respond) => {
    const { csr, validitySeconds, impersonatedIdentity } = call.request;
    const [authorization] = call.metadata.get('authorization');
    const gone = new AbortController();
    call.once('cancelled', () => gone.abort(new Error('The caller has gone')));
    if (call.cancelled) gone.abort(new Error('The caller has gone'));
    parts
      .answer({
        token: bearerToken(typeof authorization === 'string' ? authorization : undefined),
        csrPem: csr,
        ttlSeconds: validitySeconds,
        impersonated: impersonatedIdentity,
        address: call.getPeer().replace(/:\d+$/, ''),
        signal: gone.signal,
      })
      .then(
        (answer) => {
          if (answer.kind === 'issued') respond(null, { chain: answer.chain });
          else respond({ code: status[answer.code], details: answer.message });
        },
        (error: unknown) => {
          parts.log.error('Cannot answer a certificate request', { error });
          respond({ code: status.INTERNAL, details: 'Cannot answer the certificate request' });
        },
      );
  };
  server.addService({ CreateCertificate: CREATE_CERTIFICATE }, { CreateCertificate: handler });

  const identity = new ServingIdentity();
  const credentials = experimental.createCertificateProviderServerCredentials(
    identity,
    null,
    false,
  ) as ServerCredentials;
  const port = await bind(server, credentials, settings);
  return {
    port,
    use: (certificate) => identity.use(certificate),
    close: () => closeServer(server),
  };
}

type IdentityListener = (update: { certificate: Buffer; privateKey: Buffer } | null) => void;

/** grpc-js asks for certificates through listeners; this is what it listens to. */
class ServingIdentity implements experimental.CertificateProvider {
  readonly #listeners = new Set<IdentityListener>();
  #current: { certificate: Buffer; privateKey: Buffer } | null = null;

  use({ chainPem, keyPem }: OwnCertificate): void {
    this.#current = { certificate: Buffer.from(chainPem), privateKey: Buffer.from(keyPem) };
    for (const listener of this.#listeners) listener(this.#current);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#listeners.add(listener);
    listener(this.#current);
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#listeners.delete(listener);
  }

  /** Callers prove themselves by token: no client certificate is asked for. */
  addCaCertificateListener(): void {}

  removeCaCertificateListener(): void {}
}

async function bind(
  server: Server,
  credentials: ServerCredentials,
  settings: { readonly host: string | undefined; readonly port: number },
): Promise<number> {
  const { host, port } = settings;
  const listen = (address: string): Promise<number> =>
    new Promise((resolve, reject) => {
      server.bindAsync(`${address}:${port}`, credentials, (error, bound) => {
        if (error === null) resolve(bound);
        else reject(new Error(`Cannot listen on ${address}:${port}: ${error.message}`));
      });
    });
  if (host !== undefined) return listen(host.includes(':') ? `[${host}]` : host);
  try {
    return await listen('[::]');
  } catch {
    // a machine without IPv6
    return listen('0.0.0.0');
  }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.forceShutdown(), CLOSE_MS);
    server.tryShutdown(() => {
      clearTimeout(cut);
      resolve();
    });
  });
}
