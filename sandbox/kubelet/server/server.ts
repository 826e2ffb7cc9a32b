// The kubelet's own HTTPS server: logs, exec, attach, port-forward, and what runs here. Called by the API server, on whose
// client certificate it insists; anybody else is refused. Made by kubelet.ts.

import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Clock } from '../../../runtime/clock.ts';
import type { KubeClient } from '../../../runtime/kubernetes/client.ts';
import type { Log } from '../../../runtime/log.ts';
import type { NodeNetwork } from '../../network/network.ts';
import type { Container } from '../container/container.ts';
import { type LogOptions, readLog } from '../logs/log-reader.ts';
import type { PodOnNode } from '../pod/pod.ts';
import type { PodSet } from '../pod/pod-set.ts';
import { attachStreams } from '../streams/attach.ts';
import type { StreamSession } from '../streams/session.ts';
import { parseTime } from '../time.ts';
import { attachSession, execSession, forwardSession } from './exec-session.ts';
import { ownServing, type Serving } from './serving.ts';

export type ServerParts = {
  readonly client: KubeClient;
  readonly network: NodeNetwork;
  readonly clock: Clock;
  readonly log: Log;
  readonly pods: PodSet;
};
export type ServerSettings = {
  readonly port: number;
  readonly nodeName: string;
  readonly serving: Serving | undefined;
  /** For a certificate of its own making. */
  readonly hosts: readonly string[];
};

/** Who may ask a kubelet: the API server of this sandbox, of kubeadm (old and new) and of k3s, by name or by group. */
const TRUSTED_NAMES = ['kube-apiserver-kubelet-client', 'system:apiserver', 'kube-apiserver'];
const TRUSTED_GROUPS = ['system:masters', 'kubeadm:cluster-admins'];

class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export async function startServer(
  parts: ServerParts,
  settings: ServerSettings,
): Promise<{ close(): Promise<void> }> {
  const serving = settings.serving ?? (await ownServing(parts, settings));
  const server: Server = createServer({
    cert: serving.certPem,
    key: serving.keyPem,
    ...(serving.clientCaPem === undefined ? {} : { ca: serving.clientCaPem }),
    requestCert: true,
    // refused with a message that says why, not by a broken handshake
    rejectUnauthorized: false,
  });
  const stop = new AbortController();
  const working = new Set<Promise<void>>();
  const own = (work: Promise<void>): void => {
    const owned = work.finally(() => working.delete(owned));
    working.add(owned);
  };
  server.on('request', (request, response) => {
    own(answer(parts, request, response, stop.signal));
  });
  server.on('upgrade', (request, socket, head) => {
    own(upgrade(parts, { request, socket, head }, stop.signal));
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  server.on('tlsClientError', (error) => parts.log.debug('A TLS handshake failed', { error }));
  await parts.network.listen(settings.port, server);
  return {
    async close() {
      stop.abort(new Error('The kubelet is closing'));
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await Promise.all([closed, ...working]);
    },
  };
}

async function answer(
  parts: ServerParts,
  request: IncomingMessage,
  response: ServerResponse,
  stop: AbortSignal,
): Promise<void> {
  response.on('error', () => {});
  try {
    const url = new URL(request.url ?? '/', 'https://kubelet');
    if (url.pathname === '/healthz') {
      response.end('ok');
      return;
    }
    admitCaller(request);
    const [, route, ...rest] = url.pathname.split('/').map(decodeURIComponent);
    if (route === 'pods') sendPods(parts.pods, response);
    else if (route === 'containerLogs') {
      const { container, pod } = find(parts.pods, rest);
      const gone = new AbortController();
      response.on('close', () => gone.abort());
      await sendLog(pod, container, url.searchParams, response, {
        signal: AbortSignal.any([stop, gone.signal]),
        now: parts.clock.now(),
      });
    } else if (route === 'exec' || route === 'attach' || route === 'portForward') {
      throw new Refusal(400, `you must use an upgrade request (WebSocket or SPDY) for ${route}`);
    } else throw new Refusal(404, `no such path: ${url.pathname}`);
  } catch (error) {
    refuse(parts.log, response, error);
  }
}

function refuse(log: Log, response: ServerResponse, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof Refusal)) log.warn('A request to the kubelet failed', { error });
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(error instanceof Refusal ? error.status : 500, {
    'content-type': 'text/plain',
  });
  response.end(message);
}

/** @throws Refusal */
function admitCaller(request: IncomingMessage): void {
  const { socket } = request;
  if (!(socket instanceof TLSSocket) || !socket.authorized) {
    throw new Refusal(401, 'Unauthorized: a client certificate of the cluster is needed');
  }
  const subject = socket.getPeerCertificate().subject as
    | { readonly CN?: string | string[]; readonly O?: string | string[] }
    | undefined;
  const names = [subject?.CN ?? []].flat();
  const groups = [subject?.O ?? []].flat();
  const trusted =
    names.some((name) => TRUSTED_NAMES.includes(name)) ||
    groups.some((group) => TRUSTED_GROUPS.includes(group));
  if (!trusted) {
    throw new Refusal(403, `Forbidden: "${names[0] ?? ''}" may not talk to kubelets`);
  }
}

/** `NAMESPACE/POD/CONTAINER` or `NAMESPACE/POD/UID/CONTAINER`. @throws Refusal */
function find(
  pods: PodSet,
  path: readonly string[],
): { readonly pod: PodOnNode; readonly container: Container } {
  const [namespace = '', name = ''] = path;
  const containerName = path.at(-1) ?? '';
  const pod = pods.find(namespace, name, path.length === 4 ? path[2] : undefined);
  if (pod === undefined) throw new Refusal(404, `pod "${namespace}/${name}" is not on this node`);
  const container = pod.container(containerName);
  if (container === undefined) {
    throw new Refusal(404, `container "${containerName}" is not in pod "${namespace}/${name}"`);
  }
  return { pod, container };
}

function sendPods(pods: PodSet, response: ServerResponse): void {
  const items = [...pods.all()].map((pod) => ({ ...pod.pod, status: pod.status() }));
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ apiVersion: 'v1', kind: 'PodList', metadata: {}, items }));
}

async function sendLog(
  pod: PodOnNode,
  container: Container,
  query: URLSearchParams,
  response: ServerResponse,
  { signal, now }: { readonly signal: AbortSignal; readonly now: number },
): Promise<void> {
  const previous = query.get('previous') === 'true';
  const options = logOptions(query, now);
  const log = container.log(previous);
  if (log === undefined) throw noLog(pod, container, previous);
  response.writeHead(200, { 'content-type': 'text/plain' });
  // a follower of a silent container must see the connection stand
  response.flushHeaders();
  for await (const chunk of readLog(log, options, signal)) {
    if (!response.write(chunk)) await once(response, 'drain', { signal }).catch(() => {});
  }
  response.end();
}

function noLog(pod: PodOnNode, container: Container, previous: boolean): Refusal {
  const { name } = container.spec;
  if (previous) {
    return new Refusal(
      400,
      `previous terminated container "${name}" in pod "${pod.ref.name}" not found`,
    );
  }
  const { life } = container.record;
  const reason = life.state === 'waiting' ? life.reason : life.state;
  return new Refusal(
    400,
    `container "${name}" in pod "${pod.ref.name}" is waiting to start: ${reason}`,
  );
}

/** @throws Refusal */
function logOptions(query: URLSearchParams, now: number): LogOptions {
  const number = (name: string): number | undefined => {
    const text = query.get(name);
    if (text === null || text === '') return undefined;
    const value = Number(text);
    if (Number.isInteger(value) && value >= 0) return value;
    throw new Refusal(400, `${name}: "${text}" is not a whole number`);
  };
  const sinceSeconds = number('sinceSeconds');
  const sinceTime = query.get('sinceTime');
  const since = sinceSeconds === undefined ? parseTime(sinceTime ?? '') : now - sinceSeconds * 1000;
  const tailLines = number('tailLines');
  const limitBytes = number('limitBytes');
  return {
    follow: query.get('follow') === 'true',
    timestamps: query.get('timestamps') === 'true',
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(since === undefined ? {} : { since }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
  };
}

type Upgrade = {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
};

async function upgrade(
  parts: ServerParts,
  { request, socket, head }: Upgrade,
  stop: AbortSignal,
): Promise<void> {
  socket.on('error', () => {});
  let session: StreamSession;
  try {
    admitCaller(request);
    session = sessionOf(parts, new URL(request.url ?? '/', 'https://kubelet'));
  } catch (error) {
    const status = error instanceof Refusal ? error.status : 500;
    const message = error instanceof Error ? error.message : String(error);
    socket.end(
      `HTTP/1.1 ${status} Refused\r\ncontent-type: text/plain\r\nconnection: close\r\n` +
        `content-length: ${Buffer.byteLength(message)}\r\n\r\n${message}`,
    );
    return;
  }
  await attachStreams(request, socket, head, session, stop).catch((error: unknown) => {
    parts.log.debug('A stream to a pod broke off', { path: request.url, error });
    socket.destroy();
  });
}

/** @throws Refusal */
function sessionOf({ pods, clock }: ServerParts, url: URL): StreamSession {
  const [, route, ...rest] = url.pathname.split('/').map(decodeURIComponent);
  if (route === 'portForward') {
    const [namespace = '', name = '', uid] = rest;
    const pod = pods.find(namespace, name, uid);
    if (pod === undefined) throw new Refusal(404, `pod "${namespace}/${name}" is not on this node`);
    return forwardSession(pod);
  }
  if (route === 'attach') return attachSession(find(pods, rest).container);
  if (route === 'exec') {
    return execSession(find(pods, rest).container, url.searchParams.getAll('command'), clock);
  }
  throw new Refusal(404, `no such path: ${url.pathname}`);
}
