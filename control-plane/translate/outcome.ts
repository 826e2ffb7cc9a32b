// What became of one object of a user: the conditions its status should show. Made by the translations of policies and
// entries, written by status/conditions.ts.

import type { Condition, KubeObject } from '../../runtime/kubernetes/objects.ts';
import type { Resource } from '../../runtime/kubernetes/resources.ts';

/** One condition as it should read; since when is the writer's business. */
export type Finding = {
  readonly type: string;
  readonly status: Condition['status'];
  /** CamelCase, one word for machines. */
  readonly reason: string;
  /** What is so, where, and what to do about it. */
  readonly message: string;
};

export type Outcome = {
  readonly resource: Resource;
  /** As the translation saw it. */
  readonly object: KubeObject;
  readonly findings: readonly Finding[];
  /** Further fields of `status` that are the control plane's to write. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Lists in `status` whose members have a name and conditions of their own: a Gateway's listeners. */
  readonly parts?: Readonly<Record<string, readonly PartOutcome[]>>;
};

export type PartOutcome = {
  readonly name: string;
  readonly findings: readonly Finding[];
  readonly fields: Readonly<Record<string, unknown>>;
};
