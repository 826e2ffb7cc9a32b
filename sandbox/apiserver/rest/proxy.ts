// Requests that a kubelet answers: logs, exec, attach, port-forward and node proxy. Upgrades pass as raw bytes both ways.

import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Cluster, readObject } from '../cluster.ts';
import { badRequest, notFound, StatusError } from '../errors.ts';
import type { KindDefinition } from '../kinds.ts';
import { type KubeObject, listAt, stringAt } from '../object.ts';
import type { Exchange } from './exchange.ts';
import { type KubeletAddress, type KubeletDialer, unreachable } from './kubelet.ts';
import type { ResourcePath } from './path.ts';

type Parts = { readonly cluster: Cluster; readonly kubelets: KubeletDialer };
type Destination = { readonly address: KubeletAddress; readonly path: string };

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
const LOG_PARAMETERS = [
  'follow',
  'previous',
  'sinceSeconds',
  'sinceTime',
  'timestamps',
  'tailLines',
  'limitBytes',
  'stream',
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
  const socket = await parts.kubelets.dial(destination.address, exchange.signal);
  const { request, response } = exchange;
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = httpRequest({
      method: request.method ?? 'GET',
      path: destination.path,
      headers: {
        ...forwardedHeaders(request),
        host: hostOf(destination.address),
        connection: 'close',
      },
      createConnection: () => socket,
      signal: exchange.signal,
    });
    outgoing.once('response', resolve);
    outgoing.once('error', (error) => reject(unreachable(destination.address, error)));
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
  const upstream = await parts.kubelets.dial(destination.address, exchange.signal);
  const { request } = exchange;
  const lines = [
    `${request.method ?? 'GET'} ${destination.path} HTTP/1.1`,
    `Host: ${hostOf(destination.address)}`,
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

function destinationOf(
  parts: Parts,
  url: URL,
  kind: KindDefinition,
  path: ResourcePath,
): Destination {
  const name = path.name ?? '';
  const { kubelets, cluster } = parts;
  if (kind.plural === 'nodes') {
    return {
      address: kubelets.addressOf(name.split(':')[0] ?? ''),
      path: (path.rest || '/') + url.search,
    };
  }
  if (kind.plural === 'services' || path.subresource === 'proxy') {
    return proxyDestination(parts, url, kind, path);
  }
  const pod = readObject(cluster, kind, name, path.namespace);
  if (pod === undefined) throw notFound(kind, name);
  const node = stringAt(pod['spec'], 'nodeName') ?? '';
  if (node === '') {
    throw badRequest(`pod ${name} does not have a host assigned`);
  }
  return {
    address: kubelets.addressOf(node),
    path: kubeletPath(pod, path.subresource ?? '', url.searchParams),
  };
}

/** pods/proxy and services/proxy: the kubelet of the pod's node forwards to the pod's port. */
function proxyDestination(
  { cluster, kubelets }: Parts,
  url: URL,
  kind: KindDefinition,
  path: ResourcePath,
): Destination {
  const [, scheme = 'http', name = '', port = ''] =
    /^(?:(https?):)?([^:]*)(?::(.*))?$/.exec(path.name ?? '') ?? [];
  const pods = { group: '', plural: 'pods' };
  const target =
    kind.plural === 'pods'
      ? { pod: name, port: port || '80' }
      : serviceTarget(cluster, path.namespace ?? '', name, port);
  const pod = readObject(cluster, pods, target.pod, path.namespace);
  if (pod === undefined) throw notFound(pods, target.pod);
  const node = stringAt(pod['spec'], 'nodeName') ?? '';
  if (node === '') throw badRequest(`pod ${target.pod} does not have a host assigned`);
  return {
    address: kubelets.addressOf(node),
    path: `/podProxy/${path.namespace}/${target.pod}/${scheme}/${target.port}${path.rest || '/'}${url.search}`,
  };
}

function serviceTarget(
  cluster: Cluster,
  namespace: string,
  name: string,
  port: string,
): { pod: string; port: string } {
  const services = { group: '', plural: 'services' };
  if (readObject(cluster, services, name, namespace) === undefined) throw notFound(services, name);
  const bucket = 'discovery.k8s.io/endpointslices';
  for (const slice of cluster.store.values(bucket)) {
    if (slice.metadata.namespace !== namespace) continue;
    if (slice.metadata.labels?.['kubernetes.io/service-name'] !== name) continue;
    const ports = listAt(slice, 'ports');
    const chosen = ports.find(
      (entry) =>
        port === '' ||
        stringAt(entry, 'name') === port ||
        servicePortIs(cluster, namespace, name, port, entry),
    );
    const number = (chosen as { port?: number } | undefined)?.port;
    const endpoint = listAt(slice, 'endpoints').find(
      (entry) => (entry as { conditions?: { ready?: boolean } }).conditions?.ready !== false,
    );
    const pod = stringAt((endpoint as { targetRef?: unknown } | undefined)?.targetRef, 'name');
    if (number !== undefined && pod !== undefined) return { pod, port: String(number) };
  }
  throw new StatusError(503, 'ServiceUnavailable', `no endpoints available for service "${name}"`);
}

function servicePortIs(
  cluster: Cluster,
  namespace: string,
  name: string,
  port: string,
  endpointPort: unknown,
): boolean {
  const service = readObject(cluster, { group: '', plural: 'services' }, name, namespace);
  const ports = listAt(service?.['spec'], 'ports') as { name?: string; port?: number }[];
  const match = ports.find((entry) => String(entry.port) === port);
  return match !== undefined && (match.name ?? '') === (stringAt(endpointPort, 'name') ?? '');
}

function kubeletPath(pod: KubeObject, subresource: string, query: URLSearchParams): string {
  const { namespace = '', name = '' } = pod.metadata;
  const base = `${namespace}/${name}`;
  const parameters = new URLSearchParams();
  switch (subresource) {
    case 'log':
      for (const key of LOG_PARAMETERS) {
        for (const value of query.getAll(key)) parameters.append(key, value);
      }
      return withQuery(`/containerLogs/${base}/${containerOf(pod, query)}`, parameters);
    case 'portforward':
      if (query.has('ports')) parameters.set('port', query.getAll('ports').join(','));
      return withQuery(`/portForward/${base}`, parameters);
    default: {
      const flags = { stdin: 'input', stdout: 'output', stderr: 'error', tty: 'tty' };
      for (const [from, to] of Object.entries(flags)) {
        if (query.get(from) === 'true' || query.get(from) === '1') parameters.set(to, '1');
      }
      for (const word of query.getAll('command')) parameters.append('command', word);
      return withQuery(`/${subresource}/${base}/${containerOf(pod, query)}`, parameters);
    }
  }
}

function withQuery(path: string, parameters: URLSearchParams): string {
  const text = parameters.toString();
  return text === '' ? path : `${path}?${text}`;
}

function containerOf(pod: KubeObject, query: URLSearchParams): string {
  const asked = query.get('container') ?? '';
  const names = (key: string): string[] =>
    listAt(pod['spec'], key).map((container) => stringAt(container, 'name') ?? '');
  const main = names('containers');
  const all = [...names('initContainers'), ...main, ...names('ephemeralContainers')];
  const name = pod.metadata.name ?? '';
  if (asked !== '') {
    if (all.includes(asked)) return asked;
    throw badRequest(`container ${asked} is not valid for pod ${name}`);
  }
  const preferred = pod.metadata.annotations?.['kubectl.kubernetes.io/default-container'];
  if (preferred !== undefined && all.includes(preferred)) return preferred;
  const [only] = main;
  if (only !== undefined && main.length === 1) return only;
  throw badRequest(
    `a container name must be specified for pod ${name}, choose one of: [${main.join(' ')}]`,
  );
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

function hostOf({ host, port }: KubeletAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
