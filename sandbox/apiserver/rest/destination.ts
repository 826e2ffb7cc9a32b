// Where a proxied request goes: which kubelet, and under which path there.

import { type Cluster, PODS, readObject, SERVICES } from '../cluster.ts';
import { badRequest, notFound, StatusError } from '../errors.ts';
import type { KindDefinition } from '../kinds.ts';
import { type KubeObject, listAt, stringAt } from '../object.ts';
import type { KubeletAddress, KubeletDialer } from './kubelet.ts';
import type { ResourcePath } from './path.ts';

type Parts = { readonly cluster: Cluster; readonly kubelets: KubeletDialer };

export type Destination = {
  readonly address: KubeletAddress;
  readonly path: string;
  /** Set when the request is for a port of a pod, not for the kubelet itself. */
  readonly pod?: { readonly forwardPath: string; readonly host: string; readonly tls: boolean };
};

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
export function destinationOf(
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
  return {
    address: kubelets.addressOf(nodeOf(pod)),
    path: kubeletPath(pod, path.subresource ?? '', url.searchParams),
  };
}

/** pods/proxy and services/proxy: HTTP to a port of a pod, carried by its kubelet. */
function proxyDestination(
  { cluster, kubelets }: Parts,
  url: URL,
  kind: KindDefinition,
  path: ResourcePath,
): Destination {
  const [, scheme = 'http', name = '', port = ''] =
    /^(?:(https?):)?([^:]*)(?::(.*))?$/.exec(path.name ?? '') ?? [];
  const target =
    kind.plural === 'pods'
      ? { pod: name, port }
      : serviceTarget(cluster, path.namespace ?? '', name, port);
  const pod = readObject(cluster, PODS, target.pod, path.namespace);
  if (pod === undefined) throw notFound(PODS, target.pod);
  const number = target.port === '' ? firstPort(pod) : target.port;
  if (!/^\d{1,5}$/.test(number)) {
    throw badRequest(`port "${number}" of pod ${target.pod} must be a number to be proxied to`);
  }
  return {
    address: kubelets.addressOf(nodeOf(pod)),
    path: `${path.rest || '/'}${url.search}`,
    pod: {
      forwardPath: `/portForward/${path.namespace}/${target.pod}?port=${number}`,
      host: `${target.pod}:${number}`,
      tls: scheme === 'https',
    },
  };
}

function firstPort(pod: KubeObject): string {
  const [container] = listAt(pod['spec'], 'containers');
  const [port] = listAt(container, 'ports');
  return String((port as { containerPort?: number } | undefined)?.containerPort ?? 80);
}

function nodeOf(pod: KubeObject): string {
  const node = stringAt(pod['spec'], 'nodeName') ?? '';
  if (node === '') throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
  return node;
}

function serviceTarget(
  cluster: Cluster,
  namespace: string,
  name: string,
  port: string,
): { pod: string; port: string } {
  if (readObject(cluster, SERVICES, name, namespace) === undefined) throw notFound(SERVICES, name);
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
  const service = readObject(cluster, SERVICES, name, namespace);
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
