// The control plane's door: HTTPS on which node agents and waypoints open a WebSocket at /v1/discovery. Authenticates each by token
// before the upgrade, then hands it to connection.ts. Its certificate is replaced without touching open connections.

import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { bearerToken } from '../../runtime/kubernetes/token-review.ts';
import type { Log } from '../../runtime/log.ts';
import type { OwnCertificate } from '../../runtime/own-certificate.ts';
import type { AdmittedAgent, AdmittedWaypoint, ProxyIdentity } from './connection.ts';

export type Admission =
  | { readonly kind: 'admitted'; readonly proxy: AdmittedAgent | AdmittedWaypoint }
  | { readonly kind: 'refused'; readonly status: 401 | 403 | 503; readonly reason: string };

export type PushServerParts = {
  readonly log: Log;
  readonly admit: (token: string) => Promise<Admission>;
  readonly onProxy: (proxy: ProxyIdentity, socket: WebSocket) => void;
};

export type PushServer = {
  readonly port: number;
  use(certificate: OwnCertificate): void;
  /** Stops accepting, and refuses whose token is still reviewed; open WebSockets are their owner's. */
  close(): Promise<void>;
};

const PATH = '/v1/discovery';
// A cluster has at most 5000 nodes (Kubernetes' own limit); upgrades wait for a token review.
export const MAX_PENDING_UPGRADES = 512;
// The largest message of an agent says which versions it has: 100 000 resources in under 16 MiB.
const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;
// Twice the nodes of the largest cluster, for waypoints and for proxies that come while the server has not noticed that they had gone.
const MAX_CONNECTIONS = 10_000;
// A client that connects and does not ask for anything, or does not even finish its handshake.
const HEADERS_TIMEOUT_MS = 10_000;
const USER_AGENT_CHARS = 100;
const STOPPING = 'The control plane stops: try again';

export async function servePush(
  parts: PushServerParts,
  settings: { readonly host: string | undefined; readonly port: number },
): Promise<PushServer> {
  const { log } = parts;
  const server = createServer({
    minVersion: 'TLSv1.2',
    headersTimeout: HEADERS_TIMEOUT_MS,
    handshakeTimeout: HEADERS_TIMEOUT_MS,
  });
  server.maxConnections = MAX_CONNECTIONS;
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
  });
  const pending = new Set<Duplex>();
  let stopping = false;

  const upgrade = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const from = request.socket.remoteAddress;
    // what is no address at all is not there either
    if (URL.parse(request.url ?? '/', 'https://x')?.pathname !== PATH) {
      refuse(socket, 404, `There is nothing but ${PATH} here`);
      return;
    }
    if (stopping) {
      refuse(socket, 503, STOPPING);
      return;
    }
    if (pending.size >= MAX_PENDING_UPGRADES) {
      refuse(socket, 503, 'Too many proxies connect at once: try again');
      return;
    }
    pending.add(socket);
    try {
      const admission = await parts.admit(bearerToken(request.headers.authorization));
      // refused by close(): whom nobody says goodbye to would be waited for without end
      if (stopping) return;
      if (admission.kind === 'refused') {
        const { status, reason } = admission;
        log.warn('Refused a proxy', { from, status, reason });
        refuse(socket, status, reason);
        return;
      }
      const userAgent = (request.headers['user-agent'] ?? '').slice(0, USER_AGENT_CHARS);
      sockets.handleUpgrade(request, socket, head, (opened) => {
        parts.onProxy({ ...admission.proxy, userAgent }, opened);
      });
    } catch (error) {
      if (stopping) return;
      log.warn('Cannot tell who connects', { from, error });
      refuse(socket, 503, 'Cannot check the token now: try again');
    } finally {
      pending.delete(socket);
    }
  };

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    void upgrade(request, socket, head);
  });
  server.on('request', (_, response) => {
    response.writeHead(426, { upgrade: 'websocket' }).end('Connect with a WebSocket\n');
  });
  server.on('tlsClientError', (error, socket) => {
    log.debug('A TLS handshake failed', { from: socket.remoteAddress, error });
  });
  await listen(server, settings);

  return {
    port: (server.address() as AddressInfo).port,
    use: ({ chainPem, keyPem }) => {
      server.setSecureContext({ cert: chainPem, key: keyPem, minVersion: 'TLSv1.2' });
    },
    close: () =>
      new Promise((resolve) => {
        stopping = true;
        server.close(() => resolve());
        for (const socket of pending) refuse(socket, 503, STOPPING);
        server.closeIdleConnections();
      }),
  };
}

function listen(
  server: Server,
  settings: { readonly host: string | undefined; readonly port: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error): void => {
      const where = `${settings.host ?? '*'}:${settings.port}`;
      reject(new Error(`Cannot listen for agents on ${where}: ${cause.message}`, { cause }));
    };
    server.once('error', onError);
    server.listen(settings.port, settings.host, () => {
      server.off('error', onError);
      resolve();
    });
  });
}

const STATUS_TEXT = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  503: 'Service Unavailable',
} as const;

function refuse(socket: Duplex, status: keyof typeof STATUS_TEXT, reason: string): void {
  const body = `${reason}\n`;
  // a client that does not close its side must not keep ours
  socket.once('finish', () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_TEXT[status]}\r\nconnection: close\r\ncontent-type: text/plain\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
