// May this user do this? Roles and bindings as stored, evaluated a request; system:masters may do anything.

import type { Cluster, User } from '../cluster.ts';
import { StatusError } from '../errors.ts';
import { type KubeObject, listAt, recordAt, stringAt } from '../object.ts';
import { bucketOf } from '../registry.ts';

export type ResourceAction = {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly name?: string;
  readonly namespace?: string;
};
export type PathAction = { readonly verb: string; readonly path: string };
export type Action = ResourceAction | PathAction;

export type Rule = {
  readonly verbs: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
  readonly nonResourceURLs: readonly string[];
};

const GROUP = 'rbac.authorization.k8s.io';
const ROLES = bucketOf({ group: GROUP, plural: 'roles' });
const CLUSTER_ROLES = bucketOf({ group: GROUP, plural: 'clusterroles' });
const ROLE_BINDINGS = bucketOf({ group: GROUP, plural: 'rolebindings' });
const CLUSTER_ROLE_BINDINGS = bucketOf({ group: GROUP, plural: 'clusterrolebindings' });

export const MASTERS = 'system:masters';

export function authorize(cluster: Cluster, user: User, action: Action): boolean {
  if (user.groups.includes(MASTERS)) return true;
  const namespace = 'path' in action ? undefined : action.namespace;
  for (const rule of rulesOf(cluster, user, namespace)) if (allows(rule, action)) return true;
  return false;
}

/** Refuses in the words of a real API server. */
export function forbiddenAction(user: User, action: Action): StatusError {
  if ('path' in action) {
    return new StatusError(
      403,
      'Forbidden',
      `forbidden: User "${user.name}" cannot ${action.verb} path "${action.path}"`,
      {},
    );
  }
  const { group, name, namespace } = action;
  const resource = fullResource(action);
  const plural = group === '' ? action.resource : `${action.resource}.${group}`;
  const subject = name === undefined || name === '' ? plural : `${plural} "${name}"`;
  const where =
    namespace === undefined || namespace === ''
      ? 'at the cluster scope'
      : `in the namespace "${namespace}"`;
  return new StatusError(
    403,
    'Forbidden',
    `${subject} is forbidden: User "${user.name}" cannot ${action.verb} resource "${resource}" in API group "${group}" ${where}`,
    {
      ...(name === undefined || name === '' ? {} : { name }),
      ...(group === '' ? {} : { group }),
      kind: action.resource,
    },
  );
}

/** Every rule that holds for `user`, cluster-wide and in `namespace`. */
export function* rulesOf(
  cluster: Cluster,
  user: User,
  namespace: string | undefined,
): Generator<Rule> {
  if (user.groups.includes(MASTERS)) {
    yield {
      verbs: ['*'],
      apiGroups: ['*'],
      resources: ['*'],
      resourceNames: [],
      nonResourceURLs: [],
    };
    yield { verbs: ['*'], apiGroups: [], resources: [], resourceNames: [], nonResourceURLs: ['*'] };
  }
  for (const binding of cluster.store.values(CLUSTER_ROLE_BINDINGS)) {
    if (bindsTo(binding, user, undefined)) yield* roleRules(cluster, binding, undefined);
  }
  if (namespace === undefined || namespace === '') return;
  for (const binding of cluster.store.values(ROLE_BINDINGS)) {
    if (binding.metadata.namespace === namespace && bindsTo(binding, user, namespace)) {
      yield* roleRules(cluster, binding, namespace);
    }
  }
}

function bindsTo(binding: KubeObject, user: User, namespace: string | undefined): boolean {
  return listAt(binding, 'subjects').some((subject) => {
    const name = stringAt(subject, 'name') ?? '';
    switch (stringAt(subject, 'kind')) {
      case 'User':
        return name === user.name;
      case 'Group':
        return user.groups.includes(name);
      case 'ServiceAccount': {
        const home = stringAt(subject, 'namespace') ?? namespace ?? '';
        return user.name === `system:serviceaccount:${home}:${name}`;
      }
      default:
        return false;
    }
  });
}

function* roleRules(
  cluster: Cluster,
  binding: KubeObject,
  namespace: string | undefined,
): Generator<Rule> {
  const reference = recordAt(binding, 'roleRef');
  const name = stringAt(reference, 'name') ?? '';
  const role =
    reference['kind'] === 'Role'
      ? cluster.store.read(ROLES, namespace, name)
      : cluster.store.read(CLUSTER_ROLES, undefined, name);
  if (role === undefined) return;
  yield* rulesIn(role);
  for (const selector of listAt(recordAt(role, 'aggregationRule'), 'clusterRoleSelectors')) {
    const labels = Object.entries(recordAt(selector, 'matchLabels'));
    if (labels.length === 0) continue;
    for (const part of cluster.store.values(CLUSTER_ROLES)) {
      if (labels.every(([key, value]) => part.metadata.labels?.[key] === value))
        yield* rulesIn(part);
    }
  }
}

function* rulesIn(role: KubeObject): Generator<Rule> {
  for (const rule of listAt(role, 'rules')) {
    const strings = (key: string): string[] => listAt(rule, key).map(String);
    yield {
      verbs: strings('verbs'),
      apiGroups: strings('apiGroups'),
      resources: strings('resources'),
      resourceNames: strings('resourceNames'),
      nonResourceURLs: strings('nonResourceURLs'),
    };
  }
}

export function allows(rule: Rule, action: Action): boolean {
  if (!has(rule.verbs, action.verb)) return false;
  if ('path' in action) {
    return rule.nonResourceURLs.some(
      (pattern) =>
        pattern === '*' ||
        pattern === action.path ||
        (pattern.endsWith('*') && action.path.startsWith(pattern.slice(0, -1))),
    );
  }
  if (!has(rule.apiGroups, action.group)) return false;
  const { subresource } = action;
  const named =
    has(rule.resources, fullResource(action)) ||
    (subresource !== undefined && rule.resources.includes(`*/${subresource}`));
  if (!named) return false;
  if (rule.resourceNames.length === 0) return true;
  return action.name !== undefined && rule.resourceNames.includes(action.name);
}

function has(list: readonly string[], value: string): boolean {
  return list.includes('*') || list.includes(value);
}

function fullResource({ resource, subresource }: ResourceAction): string {
  return subresource === undefined || subresource === '' ? resource : `${resource}/${subresource}`;
}
