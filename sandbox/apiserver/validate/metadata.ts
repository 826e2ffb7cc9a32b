// Rules that the metadata of every object must keep, at creation and at each change.

import { type FieldError, forbiddenField, invalidValue, required } from '../errors.ts';
import type { KindDefinition } from '../kinds.ts';
import type { KubeObject } from '../object.ts';
import {
  type NameRule,
  nameProblem,
  qualifiedNameProblem,
  validateAnnotations,
  validateLabels,
} from './names.ts';

const NAME_RULES: Readonly<Record<string, NameRule>> = {
  '/Namespace': 'label',
  '/Service': 'rfc1035',
  'rbac.authorization.k8s.io/Role': 'path',
  'rbac.authorization.k8s.io/ClusterRole': 'path',
  'rbac.authorization.k8s.io/RoleBinding': 'path',
  'rbac.authorization.k8s.io/ClusterRoleBinding': 'path',
};

export function validateMetadata(kind: KindDefinition, object: KubeObject): FieldError[] {
  const { metadata } = object;
  const errors: FieldError[] = [];
  const name = metadata.name ?? '';
  if (name === '') {
    errors.push(required('metadata.name', 'name or generateName is required'));
  } else {
    const problem = nameProblem(name, NAME_RULES[`${kind.group}/${kind.kind}`] ?? 'subdomain');
    if (problem !== undefined) errors.push(invalidValue('metadata.name', name, problem));
  }
  if (kind.namespaced && metadata.namespace !== undefined) {
    const problem = nameProblem(metadata.namespace, 'label');
    if (problem !== undefined) {
      errors.push(invalidValue('metadata.namespace', metadata.namespace, problem));
    }
  }
  errors.push(...validateLabels(metadata.labels, 'metadata.labels'));
  errors.push(...validateAnnotations(metadata.annotations, 'metadata.annotations'));
  for (const finalizer of metadata.finalizers ?? []) {
    const problem = qualifiedNameProblem(finalizer);
    if (problem !== undefined) {
      errors.push(invalidValue('metadata.finalizers', finalizer, problem));
    }
  }
  errors.push(...validateOwners(metadata.ownerReferences ?? []));
  return errors;
}

function validateOwners(
  owners: NonNullable<KubeObject['metadata']['ownerReferences']>,
): FieldError[] {
  const errors: FieldError[] = [];
  let controllers = 0;
  owners.forEach((owner, index) => {
    const path = `metadata.ownerReferences[${index}]`;
    for (const field of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      const value: unknown = owner[field];
      if (typeof value !== 'string' || value === '') {
        errors.push(invalidValue(`${path}.${field}`, value ?? '', `${field} must not be empty`));
      }
    }
    if (owner.controller === true) controllers += 1;
  });
  if (controllers > 1) {
    errors.push(
      invalidValue(
        'metadata.ownerReferences',
        controllers,
        'Only one reference can have Controller set to true',
      ),
    );
  }
  return errors;
}

/** What a change of an existing object may not do to its metadata. */
export function validateMetadataChange(object: KubeObject, old: KubeObject): FieldError[] {
  if (old.metadata.deletionTimestamp === undefined) return [];
  const before = new Set(old.metadata.finalizers ?? []);
  const added = (object.metadata.finalizers ?? []).filter((finalizer) => !before.has(finalizer));
  if (added.length === 0) return [];
  const names = added.map((finalizer) => JSON.stringify(finalizer)).join(', ');
  return [
    forbiddenField(
      'metadata.finalizers',
      `no new finalizers can be added if the object is being deleted, found new finalizers []string{${names}}`,
    ),
  ];
}
