// DELETE: preconditions, grace for pods, finalizers, what becomes of dependents.
// The garbage collector (a controller) does the orphaning and the waiting; here only its finalizers are set.

import { type Cluster, timestamp } from '../cluster.ts';
import { badRequest, conflict } from '../errors.ts';
import {
  isRecord,
  type JsonObject,
  type KubeObject,
  listAt,
  recordAt,
  stringAt,
} from '../object.ts';
import { bucketOf } from '../registry.ts';
import type { WriteRequest } from './request.ts';
import { isFinished } from './update.ts';

export type DeleteOptions = {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
};

export type Deletion = {
  /** The object as it is now, or was when it went. */
  readonly object: KubeObject;
  readonly gone: boolean;
};

const ORPHAN_FINALIZER = 'orphan';
const FOREGROUND_FINALIZER = 'foregroundDeletion';
const DEFAULT_POD_GRACE_SECONDS = 30;

export function parseDeleteOptions(body: unknown, query: URLSearchParams): DeleteOptions {
  const options: JsonObject = isRecord(body) ? body : {};
  const grace = options['gracePeriodSeconds'] ?? query.get('gracePeriodSeconds') ?? undefined;
  const policy =
    stringAt(options, 'propagationPolicy') ??
    query.get('propagationPolicy') ??
    (options['orphanDependents'] === true ? 'Orphan' : undefined);
  if (
    policy !== undefined &&
    policy !== 'Orphan' &&
    policy !== 'Background' &&
    policy !== 'Foreground'
  ) {
    throw badRequest(
      `propagationPolicy: Unsupported value: "${policy}": supported values: "Foreground", "Background", "Orphan"`,
    );
  }
  const seconds = grace === undefined || grace === null ? undefined : Number(grace);
  if (seconds !== undefined && (!Number.isInteger(seconds) || seconds < 0)) {
    throw badRequest(`gracePeriodSeconds must be a whole number of seconds, not ${String(grace)}`);
  }
  const { uid, resourceVersion } = recordAt(options, 'preconditions');
  return {
    ...(seconds === undefined ? {} : { gracePeriodSeconds: seconds }),
    ...(policy === undefined ? {} : { propagationPolicy: policy }),
    preconditions: {
      ...(typeof uid === 'string' ? { uid } : {}),
      ...(typeof resourceVersion === 'string' ? { resourceVersion } : {}),
    },
  };
}

export function deleteObject(
  cluster: Cluster,
  old: KubeObject,
  options: DeleteOptions,
  request: WriteRequest,
): Deletion {
  checkPreconditions(old, options, request);
  const marked = markDeleted(cluster, old, options, request);
  const gone = isFinished(marked);
  if (request.dryRun) return { object: marked, gone };
  const bucket = bucketOf(request.kind);
  if (gone) return { object: cluster.store.remove(bucket, old, marked), gone };
  const same =
    marked.metadata.deletionTimestamp === old.metadata.deletionTimestamp &&
    marked.metadata.deletionGracePeriodSeconds === old.metadata.deletionGracePeriodSeconds &&
    (marked.metadata.finalizers ?? []).join() === (old.metadata.finalizers ?? []).join();
  return { object: same ? old : cluster.store.replace(bucket, old, marked), gone };
}

function checkPreconditions(old: KubeObject, options: DeleteOptions, request: WriteRequest): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  const name = old.metadata.name ?? '';
  if (uid !== undefined && uid !== old.metadata.uid) {
    throw conflict(
      request.kind,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion) {
    throw conflict(
      request.kind,
      name,
      `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${old.metadata.resourceVersion}`,
    );
  }
}

function markDeleted(
  cluster: Cluster,
  old: KubeObject,
  options: DeleteOptions,
  request: WriteRequest,
): KubeObject {
  const object = structuredClone(old);
  const { metadata } = object;
  const now = cluster.clock.now();
  const grace = graceSeconds(object, options, request);
  const pending = metadata.deletionTimestamp !== undefined;
  if (!pending || grace < (metadata.deletionGracePeriodSeconds ?? 0)) {
    const start = pending
      ? Date.parse(metadata.deletionTimestamp ?? '') -
        (metadata.deletionGracePeriodSeconds ?? 0) * 1000
      : now;
    metadata.deletionTimestamp = timestamp(Math.max(now, start + grace * 1000));
    metadata.deletionGracePeriodSeconds = grace;
  }
  if (!pending && metadata.generation !== undefined) metadata.generation += 1;
  setDependentsFinalizer(object, options);
  if (request.kind.group === '' && request.kind.kind === 'Namespace') {
    object['status'] = { ...recordAt(object, 'status'), phase: 'Terminating' };
  }
  return object;
}

/** Only pods go gracefully: their node says when the processes have ended. */
function graceSeconds(object: KubeObject, options: DeleteOptions, request: WriteRequest): number {
  if (request.kind.group !== '' || request.kind.kind !== 'Pod') return 0;
  const phase = stringAt(object['status'], 'phase');
  const node = stringAt(object['spec'], 'nodeName') ?? '';
  if (node === '' || phase === 'Succeeded' || phase === 'Failed') return 0;
  const wanted = options.gracePeriodSeconds;
  if (wanted !== undefined) return wanted;
  const declared = recordAt(object, 'spec')['terminationGracePeriodSeconds'];
  return typeof declared === 'number' ? declared : DEFAULT_POD_GRACE_SECONDS;
}

function setDependentsFinalizer(object: KubeObject, options: DeleteOptions): void {
  const policy = options.propagationPolicy;
  if (policy === undefined) return;
  const others = listAt(object.metadata, 'finalizers')
    .map(String)
    .filter((name) => name !== ORPHAN_FINALIZER && name !== FOREGROUND_FINALIZER);
  if (policy === 'Orphan') others.push(ORPHAN_FINALIZER);
  if (policy === 'Foreground') others.push(FOREGROUND_FINALIZER);
  if (others.length === 0) delete object.metadata.finalizers;
  else object.metadata.finalizers = others;
}
