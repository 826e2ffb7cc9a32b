// What the API server knows of each kind of object: its names, its subresources, its schema.
// Those of the server itself are in built-in-kinds.ts; CustomResourceDefinitions add more at run time (crd/).

import type { RuleTree } from './cel/rule-tree.ts';
import type { Schema } from './schema.ts';

export type Verb =
  | 'create'
  | 'delete'
  | 'deletecollection'
  | 'get'
  | 'list'
  | 'patch'
  | 'update'
  | 'watch';

/** A column of `kubectl get`, as a CustomResourceDefinition declares it. */
export type PrinterColumn = {
  readonly name: string;
  readonly type: 'integer' | 'number' | 'string' | 'boolean' | 'date';
  readonly format?: string;
  readonly description?: string;
  readonly priority?: number;
  readonly jsonPath: string;
};

/** Where `/scale` finds its numbers; JSON paths as in a CustomResourceDefinition. */
export type ScalePaths = {
  readonly specReplicasPath: string;
  readonly statusReplicasPath: string;
  readonly labelSelectorPath?: string;
};

/** One more path below an object (`pods/log`) or, with no verbs of its own storage, an action on it. */
export type Subresource = {
  readonly name: string;
  readonly kind: string;
  readonly group?: string;
  readonly version?: string;
  readonly verbs: readonly string[];
};

export type KindDefinition = {
  /** '' for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly listKind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  readonly verbs: readonly Verb[];
  readonly subresources: readonly Subresource[];
  /** Structural schema of the whole object, metadata included for built-in kinds. Absent: anything goes. */
  readonly schema?: Schema;
  /** The object is never stored: a POST is answered and forgotten (TokenReview, ...). */
  readonly virtual?: boolean;
  /** The kind comes from a CustomResourceDefinition. */
  readonly custom?: boolean;
  /** Its validation rules, if it has any. */
  readonly rules?: RuleTree;
  readonly printerColumns?: readonly PrinterColumn[];
  readonly scale?: ScalePaths;
  /** The version objects are stored under, when one kind has several versions. */
  readonly storageVersion?: string;
  readonly deprecationWarning?: string;
};

export const STORED_VERBS: readonly Verb[] = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
];

/** `v1` or `apps/v1`. */
export function apiVersionOf(kind: Pick<KindDefinition, 'group' | 'version'>): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

/** `pods` or `deployments.apps`: how error messages name a resource. */
export function resourceName(kind: Pick<KindDefinition, 'group' | 'plural'>): string {
  return kind.group === '' ? kind.plural : `${kind.plural}.${kind.group}`;
}

export function hasSubresource(kind: KindDefinition, name: string): boolean {
  return kind.subresources.some((subresource) => subresource.name === name);
}
