// `kubectl get` of the core group beside pods: nodes, namespaces, services, endpoints, events, secrets and the like.

import { type JsonObject, type KubeObject, listAt, recordAt, stringAt } from '../../object.ts';
import { formatAge } from '../age.ts';
import {
  AGE,
  type Column,
  count,
  firstOf,
  joined,
  NAME,
  numberAt,
  orNone,
  recordsAt,
  spec,
  status,
  text,
  wide,
} from '../columns.ts';

const ROLE_PREFIX = 'node-role.kubernetes.io/';
/** Backends shown of an Endpoints object. */
const MAX_ENDPOINTS = 3;

const nodeInfo = (name: string, field: string): Column =>
  wide(name, (node) => stringAt(recordAt(status(node), 'nodeInfo'), field) || '<unknown>');
const nodeAddress = (name: string, type: string): Column =>
  wide(name, (node) => {
    const found = recordsAt(status(node), 'addresses').find((address) => address['type'] === type);
    return orNone(stringAt(found, 'address'));
  });

const NODE: readonly Column[] = [
  NAME,
  text('Status', (node) => {
    const ready = recordsAt(status(node), 'conditions').find(({ type }) => type === 'Ready');
    const word =
      ready === undefined ? 'Unknown' : ready['status'] === 'True' ? 'Ready' : 'NotReady';
    return spec(node)['unschedulable'] === true ? `${word},SchedulingDisabled` : word;
  }),
  text('Roles', (node) => {
    const labels = Object.entries(node.metadata.labels ?? {});
    const roles = labels.flatMap(([key, value]) => {
      if (key.startsWith(ROLE_PREFIX)) return [key.slice(ROLE_PREFIX.length)];
      return key === 'kubernetes.io/role' && value !== '' ? [value] : [];
    });
    return joined(roles.filter((role) => role !== '').sort());
  }),
  AGE,
  text('Version', (node) => stringAt(recordAt(status(node), 'nodeInfo'), 'kubeletVersion') ?? ''),
  nodeAddress('Internal-IP', 'InternalIP'),
  nodeAddress('External-IP', 'ExternalIP'),
  nodeInfo('OS-Image', 'osImage'),
  nodeInfo('Kernel-Version', 'kernelVersion'),
  nodeInfo('Container-Runtime', 'containerRuntimeVersion'),
];

function externalAddress(service: KubeObject): string {
  const external = listAt(spec(service), 'externalIPs').map(String);
  const ingress = recordsAt(recordAt(status(service), 'loadBalancer'), 'ingress').map(
    (entry) => stringAt(entry, 'ip') ?? stringAt(entry, 'hostname') ?? '',
  );
  switch (spec(service)['type']) {
    case 'ExternalName':
      return stringAt(spec(service), 'externalName') ?? '';
    case 'LoadBalancer': {
      const all = [...ingress, ...external];
      return all.length === 0 ? '<pending>' : all.join(',');
    }
    default:
      return joined(external);
  }
}

function servicePort(port: JsonObject): string {
  const nodePort = numberAt(port, 'nodePort');
  const number = `${numberAt(port, 'port')}${nodePort === 0 ? '' : `:${nodePort}`}`;
  return `${number}/${stringAt(port, 'protocol') ?? 'TCP'}`;
}

const SERVICE: readonly Column[] = [
  NAME,
  text('Type', (service) => stringAt(spec(service), 'type') ?? ''),
  text('Cluster-IP', (service) => {
    if (spec(service)['type'] === 'ExternalName') return '<none>';
    return orNone(stringAt(spec(service), 'clusterIP'));
  }),
  text('External-IP', externalAddress),
  text('Port(s)', (service) => joined(recordsAt(spec(service), 'ports').map(servicePort))),
  AGE,
  wide('Selector', (service) =>
    joined(
      Object.entries(recordAt(spec(service), 'selector'))
        .map(([key, value]) => `${key}=${String(value)}`)
        .sort(),
    ),
  ),
];

const ENDPOINTS: readonly Column[] = [
  NAME,
  text('Endpoints', (object) => {
    const all = recordsAt(object, 'subsets').flatMap((subset) => {
      const ports = recordsAt(subset, 'ports');
      const addresses = recordsAt(subset, 'addresses').map(({ ip }) => String(ip));
      if (ports.length === 0) return addresses;
      return ports.flatMap(({ port }) => addresses.map((ip) => hostPort(ip, String(port))));
    });
    return firstOf(all, MAX_ENDPOINTS);
  }),
  AGE,
];

function hostPort(ip: string, port: string): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function eventSource(event: KubeObject): string {
  const source = recordAt(event, 'source');
  const component = stringAt(source, 'component') ?? stringAt(event, 'reportingComponent') ?? '';
  const host = stringAt(source, 'host') ?? '';
  return host === '' ? component : `${component}, ${host}`;
}

function involved(event: KubeObject): JsonObject {
  const core = recordAt(event, 'involvedObject');
  return Object.keys(core).length > 0 ? core : recordAt(event, 'regarding');
}

/** Of the fields that may hold a time, the first that does. */
function timeOf(event: KubeObject, ...fields: readonly string[]): string | undefined {
  return fields
    .map((field) => stringAt(event, field))
    .find((time) => time !== undefined && time !== '');
}

function lastSeen(event: KubeObject, now: number): string {
  const series = stringAt(recordAt(event, 'series'), 'lastObservedTime');
  const last = series ?? timeOf(event, 'lastTimestamp', 'deprecatedLastTimestamp', 'eventTime');
  return formatAge(last ?? timeOf(event, 'firstTimestamp'), now);
}

export const EVENT_COLUMNS: readonly Column[] = [
  text('Last Seen', lastSeen),
  text('Type', (event) => stringAt(event, 'type') ?? ''),
  text('Reason', (event) => stringAt(event, 'reason') ?? ''),
  text('Object', (event) => {
    const { kind, name } = involved(event);
    return `${String(kind ?? '').toLowerCase()}/${String(name ?? '')}`;
  }),
  wide('Subobject', (event) => stringAt(involved(event), 'fieldPath') ?? ''),
  wide('Source', eventSource),
  text('Message', (event) => (stringAt(event, 'message') ?? stringAt(event, 'note') ?? '').trim()),
  wide('First Seen', (event, now) =>
    formatAge(timeOf(event, 'firstTimestamp', 'deprecatedFirstTimestamp', 'eventTime'), now),
  ),
  { ...count('Count', (event) => numberAt(event, 'count', 1)), wide: true },
  { ...NAME, wide: true },
];

const dataCount = (...fields: readonly string[]): Column =>
  count('Data', (object) =>
    fields.reduce((sum, field) => sum + Object.keys(recordAt(object, field)).length, 0),
  );

export const CORE_TABLES: Readonly<Record<string, readonly Column[]>> = {
  Node: NODE,
  Namespace: [NAME, text('Status', (object) => stringAt(status(object), 'phase') ?? ''), AGE],
  Service: SERVICE,
  Endpoints: ENDPOINTS,
  Event: EVENT_COLUMNS,
  Secret: [NAME, text('Type', (secret) => stringAt(secret, 'type') ?? ''), dataCount('data'), AGE],
  ConfigMap: [NAME, dataCount('data', 'binaryData'), AGE],
  ServiceAccount: [NAME, count('Secrets', (object) => listAt(object, 'secrets').length), AGE],
};
