// What is special about one kind beyond its schema. write/ calls these in order: defaults, admit, validate.

import type { Cluster, User } from '../cluster.ts';
import type { FieldError } from '../errors.ts';
import type { KindDefinition } from '../kinds.ts';
import type { KubeObject } from '../object.ts';

export type Admission = {
  readonly cluster: Cluster;
  readonly kind: KindDefinition;
  readonly user: User;
  readonly warn: (message: string) => void;
};

export interface Strategy {
  /** Fills in what a fixed default in the schema cannot say. Edits `object`, a private copy. */
  defaults?(object: KubeObject, old: KubeObject | undefined): void;
  /** Decides with the rest of the cluster in view; may edit `object` or throw a StatusError. */
  admit?(object: KubeObject, old: KubeObject | undefined, admission: Admission): void;
  /** Rules beyond the schema. */
  validate?(object: KubeObject, old: KubeObject | undefined): FieldError[];
}
