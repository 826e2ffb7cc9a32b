// Services: defaults, cluster addresses (given at once, as a real server does), node ports, and what may not change.

import type { Cluster } from '../cluster.ts';
import {
  duplicate,
  type FieldError,
  forbiddenField,
  internalError,
  invalid,
  invalidValue,
  notSupported,
  required,
} from '../errors.ts';
import {
  isRecord,
  type JsonObject,
  type KubeObject,
  listAt,
  recordAt,
  stringAt,
} from '../object.ts';
import { nameProblem } from '../validate/names.ts';
import {
  type Family,
  familyOf,
  freeAddress,
  freeNodePort,
  inRange,
  takenAddresses,
} from './service-addresses.ts';
import type { Strategy } from './strategy.ts';

const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const SERVICE = { group: '', kind: 'Service' };

export const SERVICE_STRATEGY: Strategy = {
  defaults(object, old) {
    const spec = specOf(object);
    const type = String(spec['type']);
    for (const port of listAt(spec, 'ports').filter(isRecord)) {
      port['protocol'] ??= 'TCP';
      port['targetPort'] ??= port['port'];
    }
    if (spec['sessionAffinity'] === 'ClientIP' && spec['sessionAffinityConfig'] === undefined) {
      spec['sessionAffinityConfig'] = { clientIP: { timeoutSeconds: 10_800 } };
    }
    if (type !== 'ExternalName') spec['internalTrafficPolicy'] ??= 'Cluster';
    if (type === 'NodePort' || type === 'LoadBalancer') spec['externalTrafficPolicy'] ??= 'Cluster';
    else delete spec['externalTrafficPolicy'];
    if (type === 'LoadBalancer') spec['allocateLoadBalancerNodePorts'] ??= true;
    if (old !== undefined) keepAllocations(spec, recordAt(old, 'spec'), type);
    object['status'] ??= { loadBalancer: {} };
  },
  admit(object, old, { cluster }) {
    const spec = specOf(object);
    if (spec['type'] === 'ExternalName') {
      for (const field of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy'])
        delete spec[field];
      return;
    }
    const own = listAt(old?.['spec'], 'clusterIPs').map(String);
    allocateAddresses(cluster, object.metadata.name ?? '', spec, own);
    allocateNodePorts(cluster, spec);
  },
  validate(object, old) {
    const spec = specOf(object);
    return [
      ...validateType(spec),
      ...validatePorts(spec),
      ...(old === undefined ? [] : validateChange(spec, recordAt(old, 'spec'))),
    ];
  },
};

function specOf(object: KubeObject): JsonObject {
  if (!isRecord(object['spec'])) object['spec'] = {};
  return object['spec'] as JsonObject;
}

/** An update that does not name addresses and node ports keeps those it has. */
function keepAllocations(spec: JsonObject, old: JsonObject, type: string): void {
  if (type === 'ExternalName') return;
  if (old['type'] !== 'ExternalName') {
    for (const field of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy']) {
      if (spec[field] === undefined || spec[field] === '') spec[field] = old[field];
    }
  }
  if (type === 'ClusterIP') {
    for (const port of listAt(spec, 'ports').filter(isRecord)) delete port['nodePort'];
    return;
  }
  const before = listAt(old, 'ports').filter(isRecord);
  for (const port of listAt(spec, 'ports').filter(isRecord)) {
    const same = before.find(
      (other) => other['port'] === port['port'] && other['protocol'] === port['protocol'],
    );
    if (port['nodePort'] === undefined && same?.['nodePort'] !== undefined)
      port['nodePort'] = same['nodePort'];
  }
}

function allocateAddresses(
  cluster: Cluster,
  name: string,
  spec: JsonObject,
  own: readonly string[],
): void {
  const asked = spec['clusterIP'];
  const cidrs = cluster.serviceCidrs;
  if (asked === 'None') {
    spec['clusterIPs'] = ['None'];
    spec['ipFamilies'] ??= cidrs.slice(0, 1).map(familyOf);
    spec['ipFamilyPolicy'] ??= 'SingleStack';
    return;
  }
  const listed = listAt(spec, 'clusterIPs').map(String);
  const given = typeof asked === 'string' && asked !== '' ? [asked, ...listed.slice(1)] : listed;
  const policy = String(spec['ipFamilyPolicy'] ?? 'SingleStack');
  spec['ipFamilyPolicy'] = policy;
  const families = chooseFamilies(cidrs, spec, policy, given);
  const taken = takenAddresses(cluster);
  const addresses: string[] = [];
  for (const [index, family] of families.entries()) {
    const cidr = cidrs.find((range) => familyOf(range) === family);
    const wanted = given[index];
    if (wanted !== undefined) {
      if (cidr === undefined || !inRange(cidr, wanted)) {
        throw invalid(SERVICE, name, [
          invalidValue(
            'spec.clusterIPs',
            given,
            `failed to allocate IP ${wanted}: the provided IP is not in the valid range. The range of valid IPs is ${cidr ?? 'none'}`,
          ),
        ]);
      }
      if (taken.has(wanted) && !own.includes(wanted)) {
        throw invalid(SERVICE, name, [
          invalidValue(
            'spec.clusterIPs',
            given,
            `failed to allocate IP ${wanted}: provided IP is already allocated`,
          ),
        ]);
      }
      addresses.push(wanted);
      continue;
    }
    if (cidr === undefined) {
      throw invalid(SERVICE, name, [
        invalidValue(`spec.ipFamilies[${index}]`, family, 'not configured on this cluster'),
      ]);
    }
    const free = freeAddress(cidr, taken);
    if (free === undefined)
      throw internalError(`failed to allocate a serviceIP: range ${cidr} is full`);
    addresses.push(free);
  }
  spec['ipFamilies'] = families;
  spec['clusterIPs'] = addresses;
  spec['clusterIP'] = addresses[0];
}

function chooseFamilies(
  cidrs: readonly string[],
  spec: JsonObject,
  policy: string,
  given: readonly string[],
): Family[] {
  const asked = listAt(spec, 'ipFamilies').filter(
    (family) => family === 'IPv4' || family === 'IPv6',
  );
  const configured = cidrs.map(familyOf);
  const wished: Family[] = asked.length > 0 ? (asked as Family[]) : given.map(familyOf);
  const first = wished[0] ?? configured[0] ?? 'IPv4';
  if (policy === 'SingleStack') return [first];
  const second = configured.find((family) => family !== first);
  return second === undefined ? [first] : [first, second];
}

function allocateNodePorts(cluster: Cluster, spec: JsonObject): void {
  const type = spec['type'];
  if (type !== 'NodePort' && type !== 'LoadBalancer') return;
  if (type === 'LoadBalancer' && spec['allocateLoadBalancerNodePorts'] === false) return;
  const taken = new Set<number>();
  for (const port of listAt(spec, 'ports').filter(isRecord)) {
    if (typeof port['nodePort'] !== 'number') {
      const free = freeNodePort(cluster, taken);
      if (free === undefined) throw internalError('failed to allocate a nodePort: range is full');
      port['nodePort'] = free;
    }
    taken.add(Number(port['nodePort']));
  }
}

function validateType(spec: JsonObject): FieldError[] {
  const type = String(spec['type']);
  if (!TYPES.includes(type)) return [notSupported('spec.type', type, TYPES)];
  if (type === 'ExternalName') {
    const name = stringAt(spec, 'externalName') ?? '';
    return name === '' ? [required('spec.externalName')] : [];
  }
  const ports = listAt(spec, 'ports');
  return ports.length === 0 && spec['clusterIP'] !== 'None' ? [required('spec.ports')] : [];
}

function validatePorts(spec: JsonObject): FieldError[] {
  const errors: FieldError[] = [];
  const ports = listAt(spec, 'ports').filter(isRecord);
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [index, port] of ports.entries()) {
    const path = `spec.ports[${index}]`;
    const name = stringAt(port, 'name') ?? '';
    if (name === '') {
      if (ports.length > 1) errors.push(required(`${path}.name`));
    } else {
      const problem = nameProblem(name, 'label');
      if (problem !== undefined) errors.push(invalidValue(`${path}.name`, name, problem));
      if (names.has(name)) errors.push(duplicate(`${path}.name`, name));
      names.add(name);
    }
    errors.push(...validatePortNumber(`${path}.port`, port['port'], 1));
    if (typeof port['targetPort'] === 'number') {
      errors.push(...validatePortNumber(`${path}.targetPort`, port['targetPort'], 1));
    }
    const key = `${String(port['protocol'])}/${String(port['port'])}`;
    if (numbers.has(key))
      errors.push(duplicate(path, { port: port['port'], protocol: port['protocol'] }));
    numbers.add(key);
  }
  return errors;
}

export function validatePortNumber(path: string, value: unknown, lowest: number): FieldError[] {
  if (typeof value === 'number' && value >= lowest && value <= 65_535) return [];
  return [invalidValue(path, value, 'must be between 1 and 65535, inclusive')];
}

function validateChange(spec: JsonObject, old: JsonObject): FieldError[] {
  if (old['type'] === 'ExternalName' || spec['type'] === 'ExternalName') return [];
  const before = stringAt(old, 'clusterIP') ?? '';
  const after = stringAt(spec, 'clusterIP') ?? '';
  if (before === '' || before === after) return [];
  return [
    invalidValue('spec.clusterIPs[0]', after, 'may not change once set'),
    ...(before === 'None'
      ? [forbiddenField('spec.clusterIP', 'a headless service stays headless')]
      : []),
  ];
}
