// The scale subresource: one small object in front of the replica fields of many kinds.

import { asVersion, type Cluster } from '../cluster.ts';
import { badRequest, invalid, invalidValue, noSuchPath } from '../errors.ts';
import type { KindDefinition } from '../kinds.ts';
import { isRecord, type JsonObject, type KubeObject, recordAt } from '../object.ts';
import { formatLabelSelector, fromObjectSelector } from '../selectors.ts';
import type { WriteRequest } from './request.ts';
import { updateObject } from './update.ts';

export function scaleOf(kind: KindDefinition, object: KubeObject): KubeObject {
  const paths = kind.scale;
  if (paths === undefined) throw noSuchPath();
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const selector =
    paths.labelSelectorPath === undefined ? undefined : at(object, paths.labelSelectorPath);
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: JSON.parse(
      JSON.stringify({ name, namespace, uid, resourceVersion, creationTimestamp }),
    ) as KubeObject['metadata'],
    spec: { replicas: numberAt(object, paths.specReplicasPath) },
    status: {
      replicas: numberAt(object, paths.statusReplicasPath),
      selector: typeof selector === 'string' ? selector : selectorText(object),
    },
  };
}

/** Writes the replicas of `scale`, an edited copy of what scaleOf gave, into the object. */
export function updateScale(
  cluster: Cluster,
  old: KubeObject,
  scale: unknown,
  request: WriteRequest,
): KubeObject {
  const { kind } = request;
  if (!isRecord(scale)) throw badRequest('the body must be a Scale object');
  const paths = kind.scale;
  if (paths === undefined) throw noSuchPath();
  const replicas = recordAt(scale, 'spec')['replicas'] ?? 0;
  if (typeof replicas !== 'number' || !Number.isInteger(replicas) || replicas < 0) {
    throw invalid({ group: 'autoscaling', kind: 'Scale' }, old.metadata.name ?? '', [
      invalidValue('spec.replicas', replicas, 'must be greater than or equal to 0'),
    ]);
  }
  const proposed = structuredClone(asVersion(old, kind));
  setAt(proposed, paths.specReplicasPath, replicas);
  const version = recordAt(scale, 'metadata')['resourceVersion'];
  if (typeof version === 'string' && version !== '') proposed.metadata.resourceVersion = version;
  const { subresource: _subresource, ...rest } = request;
  return scaleOf(kind, updateObject(cluster, old, proposed, rest));
}

function selectorText(object: KubeObject): string {
  const selector = recordAt(object['spec'], 'selector');
  const isObjectForm = 'matchLabels' in selector || 'matchExpressions' in selector;
  return formatLabelSelector(
    fromObjectSelector(isObjectForm ? selector : { matchLabels: selector }),
  );
}

function numberAt(object: KubeObject, path: string): number {
  const value = at(object, path);
  return typeof value === 'number' ? value : 0;
}

function partsOf(path: string): string[] {
  return path.split('.').filter((part) => part !== '');
}

function at(object: KubeObject, path: string): unknown {
  let value: unknown = object;
  for (const part of partsOf(path)) value = isRecord(value) ? value[part] : undefined;
  return value;
}

function setAt(object: KubeObject, path: string, value: unknown): void {
  const parts = partsOf(path);
  const last = parts.pop();
  let target: JsonObject = object;
  for (const part of parts) {
    const next = target[part];
    if (isRecord(next)) target = next;
    else {
      const made: JsonObject = {};
      target[part] = made;
      target = made;
    }
  }
  if (last !== undefined) target[last] = value;
}
