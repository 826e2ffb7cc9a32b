// What can be done to a pod beside writing it: binding it to a node, and asking politely for its eviction.

import { type Cluster, PODS, readObject, timestamp } from '../cluster.ts';
import { badRequest, conflict, notFound, tooManyRequests } from '../errors.ts';
import { isRecord, type JsonObject, type KubeObject, recordAt, stringAt } from '../object.ts';
import { bucketOf } from '../registry.ts';
import { fromObjectSelector, matchesLabels } from '../selectors.ts';
import { deleteObject, parseDeleteOptions } from './delete.ts';
import type { WriteRequest } from './request.ts';
import { updateObject } from './update.ts';

export function bindPod(
  cluster: Cluster,
  name: string,
  body: unknown,
  request: WriteRequest,
): JsonObject {
  const pod = readObject(cluster, PODS, name, request.namespace);
  if (pod === undefined) throw notFound(PODS, name);
  const target = recordAt(body, 'target');
  const node = stringAt(target, 'name') ?? '';
  const targetKind = stringAt(target, 'kind') ?? 'Node';
  if (node === '' || targetKind !== 'Node') {
    throw badRequest('a binding must have a target of kind Node with a name');
  }
  const bound = stringAt(pod['spec'], 'nodeName') ?? '';
  if (bound !== '') {
    throw conflict(
      { group: '', plural: 'pods/binding' },
      name,
      `pod ${name} is already assigned to node "${bound}"`,
    );
  }
  if (pod.metadata.deletionTimestamp !== undefined) {
    throw conflict(
      { group: '', plural: 'pods/binding' },
      name,
      `pod ${name} is being deleted, cannot be assigned to a host`,
    );
  }
  const proposed = structuredClone(pod);
  proposed['spec'] = { ...recordAt(pod, 'spec'), nodeName: node };
  const annotations = recordAt(recordAt(body, 'metadata'), 'annotations') as Record<string, string>;
  proposed.metadata.annotations = { ...pod.metadata.annotations, ...annotations };
  const status = recordAt(proposed, 'status');
  const others = Array.isArray(status['conditions'])
    ? status['conditions'].filter((entry) => stringAt(entry, 'type') !== 'PodScheduled')
    : [];
  const scheduled = {
    type: 'PodScheduled',
    status: 'True',
    lastProbeTime: null,
    lastTransitionTime: timestamp(cluster.clock.now()),
  };
  const withStatus = { ...status, conditions: [...others, scheduled] };
  const { subresource: _subresource, ...rest } = request;
  const stored = updateObject(cluster, pod, proposed, { ...rest, subresource: 'binding' });
  if (!request.dryRun) {
    updateObject(
      cluster,
      stored,
      { ...structuredClone(stored), status: withStatus },
      { ...rest, subresource: 'status' },
    );
  }
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };
}

export function evictPod(
  cluster: Cluster,
  name: string,
  body: unknown,
  request: WriteRequest,
): JsonObject {
  const pod = readObject(cluster, PODS, name, request.namespace);
  if (pod === undefined) throw notFound(PODS, name);
  const options = parseDeleteOptions(
    isRecord(body) ? body['deleteOptions'] : undefined,
    new URLSearchParams(),
  );
  const guard = disruptionBudgets(cluster, pod).find(
    (budget) => Number(recordAt(budget, 'status')['disruptionsAllowed'] ?? 0) <= 0,
  );
  const phase = stringAt(pod['status'], 'phase');
  const finished = phase === 'Succeeded' || phase === 'Failed' || phase === 'Pending';
  if (guard !== undefined && !finished && pod.metadata.deletionTimestamp === undefined) {
    throw tooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", [
      {
        field: '',
        reason: 'FieldValueForbidden',
        message: `The disruption budget ${guard.metadata.name} allows no disruption now`,
      },
    ]);
  }
  const { subresource: _subresource, ...rest } = request;
  deleteObject(cluster, pod, options, rest);
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };
}

function disruptionBudgets(cluster: Cluster, pod: KubeObject): KubeObject[] {
  const bucket = bucketOf({ group: 'policy', plural: 'poddisruptionbudgets' });
  return [...cluster.store.values(bucket)].filter(
    (budget) =>
      budget.metadata.namespace === pod.metadata.namespace &&
      matchesLabels(fromObjectSelector(recordAt(budget, 'spec')['selector']), pod.metadata.labels),
  );
}
