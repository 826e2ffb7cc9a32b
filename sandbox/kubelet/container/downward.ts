// The downward API: a pod's own fields and resources as text, for variables and files. Pure; an unknown field is refused
// with its name, because a silently empty value would be found much later.

import type { ContainerSpec, Pod, ResourceFieldRef } from '../pod/pod-spec.ts';

/** What the node knows about the pod; its status in the API server may lag behind. */
export type PodFacts = {
  readonly podIps: readonly string[];
  readonly hostIps: readonly string[];
  readonly nodeName: string;
  /** Stands in for limits that are not set, as in Kubernetes. */
  readonly capacity: { readonly cpu: number; readonly memoryBytes: number };
};

const SUBSCRIPT = /^metadata\.(labels|annotations)\['(.+)'\]$/;

/** @throws RangeError when the downward API has no such field */
export function fieldValue(fieldPath: string, pod: Pod, facts: PodFacts): string {
  const subscript = SUBSCRIPT.exec(fieldPath);
  if (subscript !== null) {
    const map = subscript[1] === 'labels' ? pod.metadata.labels : pod.metadata.annotations;
    return map?.[subscript[2] ?? ''] ?? '';
  }
  const read = Object.hasOwn(FIELDS, fieldPath) ? FIELDS[fieldPath] : undefined;
  if (read === undefined) {
    throw new RangeError(`Cannot read field "${fieldPath}" of a pod: no such downward API field`);
  }
  return read(pod, facts) ?? '';
}

const FIELDS: Readonly<Record<string, (pod: Pod, facts: PodFacts) => string | undefined>> = {
  'metadata.name': ({ metadata }) => metadata.name,
  'metadata.namespace': ({ metadata }) => metadata.namespace,
  'metadata.uid': ({ metadata }) => metadata.uid,
  'metadata.labels': ({ metadata }) => formatMap(metadata.labels),
  'metadata.annotations': ({ metadata }) => formatMap(metadata.annotations),
  'spec.nodeName': (_, facts) => facts.nodeName,
  'spec.serviceAccountName': ({ spec }) => spec.serviceAccountName ?? 'default',
  'status.podIP': (_, facts) => facts.podIps[0],
  'status.podIPs': (_, facts) => facts.podIps.join(','),
  'status.hostIP': (_, facts) => facts.hostIps[0],
  'status.hostIPs': (_, facts) => facts.hostIps.join(','),
};

/** Rounded up to whole divisors. @throws RangeError on a resource or quantity that is none */
export function resourceValue(
  ref: ResourceFieldRef,
  container: ContainerSpec,
  facts: PodFacts,
): string {
  const match = /^(requests|limits)\.(cpu|memory|ephemeral-storage)$/.exec(ref.resource);
  if (match === null) {
    throw new RangeError(`Cannot read resource "${ref.resource}": only requests and limits`);
  }
  const resource = match[2] ?? '';
  const { limits, requests } = container.resources ?? {};
  const set = match[1] === 'limits' ? limits?.[resource] : (requests ?? limits)?.[resource];
  const value =
    set === undefined ? fallback(match[1] === 'limits', resource, facts) : quantity(set);
  return String(Math.ceil(value / quantity(nonZero(ref.divisor))));
}

/** The API server writes an unset divisor as "0". */
function nonZero(divisor: string | undefined): string {
  return divisor === undefined || divisor === '0' ? '1' : divisor;
}

function fallback(isLimit: boolean, resource: string, facts: PodFacts): number {
  if (!isLimit) return 0;
  if (resource === 'cpu') return facts.capacity.cpu;
  return resource === 'memory' ? facts.capacity.memoryBytes : 0;
}

const SUFFIXES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A Kubernetes quantity (`500m`, `64Mi`, `1e3`) as a number. @throws RangeError when it is none */
export function quantity(text: string): number {
  const match = /^([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|[+-]?\.\d+)([numkMGTPE]|[KMGTPE]i)?$/.exec(
    text,
  );
  const factor = match === null ? undefined : SUFFIXES[match[2] ?? ''];
  if (match === null || factor === undefined) {
    throw new RangeError(`Cannot read quantity "${text}"`);
  }
  return Number(match[1]) * factor;
}

/** One `key="value"` a line, sorted, values escaped: the form of a downward API file. */
function formatMap(map: Readonly<Record<string, string>> = {}): string {
  return Object.keys(map)
    .toSorted()
    .map((key) => `${key}=${JSON.stringify(map[key])}`)
    .join('\n');
}
