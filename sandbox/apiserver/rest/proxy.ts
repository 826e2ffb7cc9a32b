// Requests that a kubelet answers: logs, exec, attach, port-forward and node proxy. Upgrades pass as raw bytes both ways.

import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { connect as connectTls } from 'node:tls';
import type { Cluster } from '../cluster.ts';
import { badRequest, StatusError } from '../errors.ts';
import type { KindDefinition } from '../kinds.ts';
import { type Destination, destinationOf } from './destination.ts';
import type { Exchange } from './exchange.ts';
import { type KubeletAddress, type KubeletDialer, unreachable } from './kubelet.ts';
import type { ResourcePath } from './path.ts';
import { openPodPort } from './pod-port.ts';

type Parts = { readonly cluster: Cluster; readonly kubelets: KubeletDialer };

/** Headers that end at this hop or are meant for this server only. */
const HOP_HEADERS = [
  'authorization',
  'host',
  'connection',
  'keep-alive',
  'transfer-encoding',
  'content-length',
  'te',
  'trailer',
  'upgrade',
  'proxy-authorization',
];
/** A kubelet's refusal is a sentence; more is not shown. */
const MAX_REFUSAL_BYTES = 16 * 1024;

/** Answers a plain (not upgraded) request. */
export async function proxyRequest(
  parts: Parts,
  exchange: Exchange,
  kind: KindDefinition,
  path: ResourcePath,
): Promise<void> {
  if (
    path.subresource === 'exec' ||
    path.subresource === 'attach' ||
    path.subresource === 'portforward'
  ) {
    throw badRequest('Upgrade request required');
  }
  const destination = destinationOf(parts, exchange.url, kind, path);
  const socket = await connect(parts, destination, exchange.signal);
  const { request, response } = exchange;
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = httpRequest({
      method: request.method ?? 'GET',
      path: destination.path,
      headers: {
        ...forwardedHeaders(request),
        host: hostOf(destination),
        connection: 'close',
      },
      createConnection: () => socket,
      signal: exchange.signal,
    });
    outgoing.once('response', resolve);
    outgoing.once('error', (error) => {
      // why the stream broke says more than that it broke
      reject(broken(destination, socket.errored ?? error));
    });
    request.pipe(outgoing);
  });
  if (path.subresource === 'log' && (answer.statusCode ?? 500) >= 400) {
    throw await refusalOf(answer);
  }
  const headers = Object.fromEntries(
    Object.entries(answer.headers).filter(
      ([name]) => !HOP_HEADERS.includes(name) || name === 'content-length',
    ),
  );
  response.writeHead(answer.statusCode ?? 502, headers);
  response.flushHeaders();
  try {
    await pipeline(answer, response);
  } catch {
    // one end went away in the middle: the other one learns it by the cut stream
    response.destroy();
  }
}

/** Connects an upgraded client to the kubelet; from then on bytes pass untouched. */
export async function proxyUpgrade(
  parts: Parts,
  exchange: Exchange,
  kind: KindDefinition,
  path: ResourcePath,
  client: { readonly socket: Duplex; readonly head: Buffer },
): Promise<void> {
  const destination = destinationOf(parts, exchange.url, kind, path);
  const upstream = await connect(parts, destination, exchange.signal);
  const { request } = exchange;
  const lines = [
    `${request.method ?? 'GET'} ${destination.path} HTTP/1.1`,
    `Host: ${hostOf(destination)}`,
  ];
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index] ?? '';
    const lower = name.toLowerCase();
    if (lower === 'host' || lower === 'authorization') continue;
    lines.push(`${name}: ${withoutToken(lower, request.rawHeaders[index + 1] ?? '')}`);
  }
  upstream.write(`${lines.join('\r\n')}\r\n\r\n`);
  upstream.write(client.head);
  client.socket.pipe(upstream);
  upstream.pipe(client.socket);
  await new Promise<void>((resolve) => {
    const end = (): void => {
      client.socket.destroy();
      upstream.destroy();
      resolve();
    };
    client.socket.once('close', end);
    client.socket.on('error', end);
    upstream.once('close', end);
    exchange.signal.addEventListener('abort', end, { once: true });
  });
}

/** A token sent as a WebSocket sub-protocol is for this server. */
function withoutToken(name: string, value: string): string {
  if (name !== 'sec-websocket-protocol') return value;
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => !part.startsWith('base64url.bearer.authorization.k8s.io.'))
    .join(', ');
}

function forwardedHeaders(request: IncomingMessage): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined && !HOP_HEADERS.includes(name)) headers[name] = value;
  }
  const length = request.headers['content-length'];
  if (length !== undefined) headers['content-length'] = length;
  return headers;
}

async function refusalOf(answer: IncomingMessage): Promise<StatusError> {
  let text = '';
  for await (const chunk of answer) {
    text += String(chunk);
    if (text.length > MAX_REFUSAL_BYTES) break;
  }
  const code = answer.statusCode ?? 500;
  const reason = code === 404 ? 'NotFound' : code < 500 ? 'BadRequest' : 'InternalError';
  return new StatusError(code, reason, text.trim());
}

function hostOf({ address, pod }: Destination): string {
  return pod?.host ?? formatHost(address);
}

function formatHost({ host, port }: KubeletAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function broken({ address, pod }: Destination, error: Error): StatusError {
  if (pod === undefined) return unreachable(address, error);
  return new StatusError(
    503,
    'ServiceUnavailable',
    `error proxying to ${pod.host} through node "${address.node}": ${error.message}: check that the pod listens on that port`,
  );
}

/** A stream to the kubelet, or through it to the pod's port. */
async function connect(
  { kubelets }: Parts,
  { address, pod }: Destination,
  signal: AbortSignal,
): Promise<Duplex> {
  const kubelet = await kubelets.dial(address, signal);
  if (pod === undefined) return kubelet;
  const stream = await openPodPort(kubelet, { host: formatHost(address), path: pod.forwardPath });
  if (!pod.tls) return stream;
  // as for the kubelet itself: a pod's certificate is its own matter
  return connectTls({ socket: stream, rejectUnauthorized: false });
}
