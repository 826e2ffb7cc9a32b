// What every part of the API server shares: the store, the kinds, time, and who asks.

import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { apiVersionOf, type KindDefinition } from './kinds.ts';
import { type KubeObject, stringAt } from './object.ts';
import { bucketOf, type KindRegistry } from './registry.ts';
import type { Store } from './store.ts';

export type User = {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
};

export type Cluster = {
  readonly store: Store;
  readonly kinds: KindRegistry;
  readonly clock: Clock;
  readonly log: Log;
  /** Ranges that service addresses come from, the first one of the primary family. */
  readonly serviceCidrs: readonly string[];
};

export const NAMESPACES = { group: '', plural: 'namespaces' } as const;
export const PODS = { group: '', plural: 'pods' } as const;
export const NODES = { group: '', plural: 'nodes' } as const;
export const SERVICES = { group: '', plural: 'services' } as const;
export const SERVICE_ACCOUNTS = { group: '', plural: 'serviceaccounts' } as const;

export function readObject(
  cluster: Cluster,
  kind: Pick<KindDefinition, 'group' | 'plural'>,
  name: string,
  namespace?: string,
): KubeObject | undefined {
  return cluster.store.read(bucketOf(kind), namespace, name);
}

/** The phase of a namespace: `Active`, `Terminating` or undefined when there is none. */
export function namespacePhase(cluster: Cluster, name: string): string | undefined {
  const namespace = readObject(cluster, NAMESPACES, name);
  if (namespace === undefined) return undefined;
  if (namespace.metadata.deletionTimestamp !== undefined) return 'Terminating';
  return stringAt(namespace['status'], 'phase') ?? 'Active';
}

/** RFC 3339 in whole seconds, as object timestamps are. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** A stored object as `kind`'s version shows it. Versions differ in name only (conversion None). */
export function asVersion(object: KubeObject, kind: KindDefinition): KubeObject {
  const apiVersion = apiVersionOf(kind);
  return object.apiVersion === apiVersion ? object : { ...object, apiVersion };
}

/** An object of any version as it is stored. */
export function asStored(object: KubeObject, kind: KindDefinition): KubeObject {
  if (kind.storageVersion === undefined) return object;
  return asVersion(object, { ...kind, version: kind.storageVersion });
}
