// Turns stored CustomResourceDefinitions into served kinds, at once, and empties a kind whose definition is deleted.

import { compileRules } from '../cel/compile.ts';
import type { RuleTree } from '../cel/rule-tree.ts';
import type { Cluster } from '../cluster.ts';
import { timestamp } from '../cluster.ts';
import type { KindDefinition, PrinterColumn, ScalePaths, Subresource } from '../kinds.ts';
import { STORED_VERBS } from '../kinds.ts';
import {
  isRecord,
  type JsonObject,
  type KubeObject,
  listAt,
  recordAt,
  stringAt,
} from '../object.ts';
import { bucketOf } from '../registry.ts';
import { anything, type Schema, text } from '../schema.ts';
import { META } from '../schemas/meta.ts';
import type { Change } from '../store.ts';
import { CLEANUP_FINALIZER } from './strategy.ts';

const DEFINITIONS = bucketOf({
  group: 'apiextensions.k8s.io',
  plural: 'customresourcedefinitions',
});
const READ_WRITE = ['get', 'patch', 'update'];

export interface Definitions {
  close(): void;
}

export function serveDefinitions(cluster: Cluster): Definitions {
  const emptying = new Map<string, () => void>();
  let closed = false;
  const stop = cluster.store.subscribe(DEFINITIONS, ({ type, object, old }) => {
    for (const kind of old === undefined ? [] : kindsOf(old)) cluster.kinds.unregister(kind);
    if (type === 'DELETED') return;
    if (isEstablished(object)) for (const kind of kindsOf(object)) cluster.kinds.register(kind);
    if (object.metadata.deletionTimestamp !== undefined) empty(object.metadata.name ?? '');
  });

  /** Deletes all objects of a kind; the definition itself goes when the last one has gone. */
  function empty(name: string): void {
    if (emptying.has(name)) return;
    const definition = cluster.store.read(DEFINITIONS, undefined, name);
    const kind = definition === undefined ? undefined : kindsOf(definition, true)[0];
    if (kind === undefined) return;
    const bucket = bucketOf(kind);
    const finish = (): void => {
      // not inside the store's own notification: watchers must hear of one change after the other
      setImmediate(() => {
        if (closed) return;
        removeObjects(cluster, bucket);
        const present = cluster.store.read(DEFINITIONS, undefined, name);
        if (present === undefined || cluster.store.count(bucket) > 0) return;
        emptying.get(name)?.();
        emptying.delete(name);
        release(cluster, present);
        cluster.store.drop(bucket);
      });
    };
    emptying.set(
      name,
      cluster.store.subscribe(bucket, (change: Change) => {
        if (change.type === 'DELETED') finish();
      }),
    );
    finish();
  }

  return {
    close() {
      closed = true;
      stop();
      for (const unsubscribe of emptying.values()) unsubscribe();
    },
  };
}

function removeObjects(cluster: Cluster, bucket: string): void {
  for (const object of cluster.store.values(bucket)) {
    if ((object.metadata.finalizers ?? []).length === 0) cluster.store.remove(bucket, object);
    else if (object.metadata.deletionTimestamp === undefined) {
      const metadata = {
        ...object.metadata,
        deletionTimestamp: timestamp(cluster.clock.now()),
        deletionGracePeriodSeconds: 0,
      };
      cluster.store.replace(bucket, object, { ...object, metadata });
    }
  }
}

function release(cluster: Cluster, definition: KubeObject): void {
  const finalizers = (definition.metadata.finalizers ?? []).filter(
    (name) => name !== CLEANUP_FINALIZER,
  );
  const next = { ...definition, metadata: { ...definition.metadata, finalizers } };
  if (finalizers.length === 0) cluster.store.remove(DEFINITIONS, definition, next);
  else cluster.store.replace(DEFINITIONS, definition, next);
}

function isEstablished(definition: KubeObject): boolean {
  return listAt(definition['status'], 'conditions').some(
    (entry) => stringAt(entry, 'type') === 'Established' && stringAt(entry, 'status') === 'True',
  );
}

/** The kinds a definition serves, one a version; with `all`, those not served too. */
export function kindsOf(definition: KubeObject, all = false): KindDefinition[] {
  const spec = recordAt(definition, 'spec');
  const names = recordAt(spec, 'names');
  const versions = listAt(spec, 'versions').filter(isRecord);
  const storage = versions.find((version) => version['storage'] === true);
  return versions
    .filter((version) => all || version['served'] === true)
    .map((version) => ({
      ...rulesOf(version),
      group: stringAt(spec, 'group') ?? '',
      version: stringAt(version, 'name') ?? '',
      kind: stringAt(names, 'kind') ?? '',
      listKind: stringAt(names, 'listKind') ?? '',
      plural: stringAt(names, 'plural') ?? '',
      singular: stringAt(names, 'singular') ?? '',
      shortNames: listAt(names, 'shortNames').map(String),
      categories: listAt(names, 'categories').map(String),
      namespaced: spec['scope'] === 'Namespaced',
      verbs: STORED_VERBS,
      subresources: subresourcesOf(version, stringAt(names, 'kind') ?? ''),
      schema: rootSchema(version),
      custom: true,
      printerColumns: listAt(version, 'additionalPrinterColumns') as PrinterColumn[],
      storageVersion: stringAt(storage, 'name') ?? '',
      ...scaleOf(version),
      ...deprecationOf(version, spec, names),
    }));
}

function subresourcesOf(version: JsonObject, kind: string): Subresource[] {
  const declared = recordAt(version, 'subresources');
  const subresources: Subresource[] = [];
  if (isRecord(declared['scale'])) {
    subresources.push({
      name: 'scale',
      kind: 'Scale',
      group: 'autoscaling',
      version: 'v1',
      verbs: READ_WRITE,
    });
  }
  if (isRecord(declared['status'])) subresources.push({ name: 'status', kind, verbs: READ_WRITE });
  return subresources;
}

function rulesOf(version: JsonObject): { rules?: RuleTree } {
  const { tree } = compileRules(rootSchema(version), 'schema');
  return tree === undefined ? {} : { rules: tree };
}

function scaleOf(version: JsonObject): { scale?: ScalePaths } {
  const scale = recordAt(version, 'subresources')['scale'];
  if (!isRecord(scale)) return {};
  const selector = stringAt(scale, 'labelSelectorPath');
  return {
    scale: {
      specReplicasPath: stringAt(scale, 'specReplicasPath') ?? '',
      statusReplicasPath: stringAt(scale, 'statusReplicasPath') ?? '',
      ...(selector === undefined ? {} : { labelSelectorPath: selector }),
    },
  };
}

function deprecationOf(
  version: JsonObject,
  spec: JsonObject,
  names: JsonObject,
): { deprecationWarning?: string } {
  if (version['deprecated'] !== true) return {};
  const fallback = `${stringAt(spec, 'group')}/${stringAt(version, 'name')} ${stringAt(names, 'kind')} is deprecated`;
  return { deprecationWarning: stringAt(version, 'deprecationWarning') ?? fallback };
}

function rootSchema(version: JsonObject): Schema {
  const given = recordAt(recordAt(version, 'schema'), 'openAPIV3Schema') as Schema;
  const base = Object.keys(given).length === 0 ? anything() : given;
  return {
    ...base,
    properties: {
      ...base.properties,
      apiVersion: text({ description: 'Version of the schema of this object.' }),
      kind: text({ description: 'What this object is.' }),
      metadata: META,
    },
  };
}
