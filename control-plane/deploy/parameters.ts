// What a Gateway says of its own deployment besides what the Gateway API has words for: two annotations, and a ConfigMap of
// overlays named by spec.infrastructure.parametersRef. Pure. Read by plan.ts; whatever is wrong becomes InvalidParameters.

import { parse } from 'yaml';
import type { Gateway } from '../../runtime/kubernetes/gateway-objects.ts';
import type { ConfigMap } from '../../runtime/kubernetes/objects.ts';
import { isTree, type Tree } from './overlay.ts';

/** `3`, or `2-10` for as many as are needed between the two. */
const REPLICAS = 'ambit-mesh.io/replicas';
/** `ClusterIP`, `NodePort` or `LoadBalancer`. */
const SERVICE_TYPE = 'ambit-mesh.io/service-type';

const SERVICE_TYPES = ['ClusterIP', 'NodePort', 'LoadBalancer'] as const;
const KEYS = [
  'deployment',
  'service',
  'serviceAccount',
  'podDisruptionBudget',
  'horizontalPodAutoscaler',
] as const;
// Kubernetes' own limit of a ConfigMap is 1 MiB; an overlay is a page.
const MAX_OVERLAY_CHARS = 100_000;
// More than any cluster has room for, and few enough that a slip of the finger hurts nobody.
const MAX_REPLICAS = 100;

/** How many replicas: as many, or as many as are needed between two numbers. */
export type Replicas = { readonly min: number; readonly max: number };

export type Parameters = {
  readonly replicas: Replicas | undefined;
  readonly serviceType: (typeof SERVICE_TYPES)[number] | undefined;
  readonly overlays: { readonly [key in (typeof KEYS)[number]]?: Tree };
};

/** Says what is wrong, where, and what would be right. */
export class ParameterError extends Error {
  override readonly name = 'ParameterError';
}

/**
 * @param map what {@link parametersMap} named; undefined when there is no such ConfigMap
 * @throws ParameterError
 */
export function readParameters(gateway: Gateway, map: ConfigMap | undefined): Parameters {
  const { annotations = {} } = gateway.metadata;
  const said = { ...gateway.spec.infrastructure?.annotations, ...annotations };
  return {
    replicas: replicasIn(said[REPLICAS]),
    serviceType: serviceTypeIn(said[SERVICE_TYPE]),
    overlays: parametersMap(gateway) === undefined ? {} : overlaysIn(gateway, map),
  };
}

/** The name of the ConfigMap with its overlays, in its namespace; undefined without one. */
export function parametersMap({ spec }: Gateway): string | undefined {
  const ref = spec.infrastructure?.parametersRef;
  return ref?.group === '' && ref.kind === 'ConfigMap' ? ref.name : undefined;
}

/** What is wrong with the reference itself. */
export function parametersFault({ spec }: Gateway): string | undefined {
  const ref = spec.infrastructure?.parametersRef;
  if (ref === undefined || (ref.group === '' && ref.kind === 'ConfigMap')) return undefined;
  return `parametersRef names a ${ref.kind} of group "${ref.group}": only a ConfigMap (group "") can be read`;
}

function replicasIn(said: string | undefined): Replicas | undefined {
  if (said === undefined) return undefined;
  const [, first, second = first] = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(said) ?? [];
  const [min, max] = [Number(first), Number(second)];
  if (min >= 1 && min <= max && max <= MAX_REPLICAS) return { min, max };
  throw new ParameterError(
    `Annotation ${REPLICAS} is "${said}": expected a number from 1 to ${MAX_REPLICAS}, or two of them as in 2-10`,
  );
}

function serviceTypeIn(said: string | undefined): Parameters['serviceType'] {
  const type = SERVICE_TYPES.find((one) => one === said);
  if (said === undefined || type !== undefined) return type;
  throw new ParameterError(
    `Annotation ${SERVICE_TYPE} is "${said}": expected ${SERVICE_TYPES.join(' or ')}`,
  );
}

function overlaysIn(gateway: Gateway, map: ConfigMap | undefined): Parameters['overlays'] {
  const name = `ConfigMap ${gateway.metadata.namespace}/${parametersMap(gateway)}`;
  if (map === undefined) throw new ParameterError(`${name} of parametersRef is not there`);
  const overlays: { [key in (typeof KEYS)[number]]?: Tree } = {};
  for (const [key, text] of Object.entries(map.data ?? {})) {
    const known = KEYS.find((one) => one === key);
    if (known === undefined) {
      throw new ParameterError(`${name} has key "${key}": expected ${KEYS.join(', ')}`);
    }
    overlays[known] = readOverlay(text, `${name}, key ${key}`);
  }
  return overlays;
}

function readOverlay(text: string, where: string): Tree {
  if (text.length > MAX_OVERLAY_CHARS) {
    throw new ParameterError(`${where} has more than ${MAX_OVERLAY_CHARS} characters`);
  }
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 0 });
  } catch (cause) {
    const [why] = String(cause instanceof Error ? cause.message : cause).split('\n');
    throw new ParameterError(`${where} is no YAML: ${why}`, { cause });
  }
  if (!isTree(value)) throw new ParameterError(`${where} is no object`);
  for (const part of ['metadata', 'spec']) {
    if (value[part] !== undefined && !isTree(value[part])) {
      throw new ParameterError(`${where}: ${part} is no object`);
    }
  }
  const metadata = (value['metadata'] ?? {}) as Tree;
  const spec = (value['spec'] ?? {}) as Tree;
  const others = Object.keys(metadata).filter((key) => key !== 'labels' && key !== 'annotations');
  if (others.length > 0) {
    throw new ParameterError(
      `${where} changes metadata.${others[0]}: only labels and annotations can be changed`,
    );
  }
  for (const part of ['labels', 'annotations']) {
    if (metadata[part] !== undefined && !isTree(metadata[part])) {
      throw new ParameterError(`${where}: metadata.${part} is no object`);
    }
  }
  for (const field of ['selector', 'scaleTargetRef']) {
    if (spec[field] !== undefined) {
      throw new ParameterError(`${where} changes spec.${field}, by which its pods are found`);
    }
  }
  return value;
}
