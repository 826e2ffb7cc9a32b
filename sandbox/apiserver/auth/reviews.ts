// The kinds that are questions: TokenReview, the access reviews, SelfSubjectReview. Answered, never stored.

import type { Cluster, User } from '../cluster.ts';
import { badRequest } from '../errors.ts';
import type { KindDefinition } from '../kinds.ts';
import { isRecord, type JsonObject, listAt, recordAt, stringAt } from '../object.ts';
import { type Action, authorize, rulesOf } from './rbac.ts';
import { ISSUER, type Tokens } from './tokens.ts';

type Question = {
  readonly kind: KindDefinition;
  readonly body: unknown;
  readonly user: User;
  readonly namespace: string | undefined;
};

export async function answerReview(
  { cluster, tokens }: { readonly cluster: Cluster; readonly tokens: Tokens },
  { kind, body, user, namespace }: Question,
): Promise<JsonObject> {
  const question: JsonObject = isRecord(body) ? body : {};
  const spec = recordAt(question, 'spec');
  const answer = (status: JsonObject): JsonObject => ({
    apiVersion: `${kind.group}/${kind.version}`,
    kind: kind.kind,
    metadata: recordAt(question, 'metadata'),
    ...(kind.kind === 'SelfSubjectReview' ? {} : { spec }),
    status,
  });
  switch (kind.kind) {
    case 'TokenReview':
      return answer(await reviewToken(tokens, spec));
    case 'SelfSubjectReview':
      return answer({ userInfo: describeUser(user) });
    case 'SelfSubjectAccessReview':
      return answer(reviewAccess(cluster, user, spec, undefined));
    case 'SubjectAccessReview':
      return answer(reviewAccess(cluster, subjectOf(spec), spec, undefined));
    case 'LocalSubjectAccessReview':
      return answer(reviewAccess(cluster, subjectOf(spec), spec, namespace));
    case 'SelfSubjectRulesReview':
      return answer(reviewRules(cluster, user, stringAt(spec, 'namespace')));
    default:
      throw badRequest(`${kind.kind} cannot be created`);
  }
}

async function reviewToken(tokens: Tokens, spec: JsonObject): Promise<JsonObject> {
  const token = stringAt(spec, 'token') ?? '';
  if (token === '')
    return { authenticated: false, user: {}, error: 'spec.token must not be empty' };
  const asked = listAt(spec, 'audiences').map(String);
  try {
    const { user, audiences } = await tokens.verify(token, asked.length === 0 ? [ISSUER] : asked);
    return { authenticated: true, user: describeUser(user), audiences: [...audiences] };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { authenticated: false, user: {}, error: `[invalid bearer token, ${why}]` };
  }
}

function describeUser(user: User): JsonObject {
  return {
    username: user.name,
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    groups: [...user.groups],
    ...(user.extra === undefined ? {} : { extra: user.extra }),
  };
}

function subjectOf(spec: JsonObject): User {
  return { name: stringAt(spec, 'user') ?? '', groups: listAt(spec, 'groups').map(String) };
}

function reviewAccess(
  cluster: Cluster,
  user: User,
  spec: JsonObject,
  namespace: string | undefined,
): JsonObject {
  const allowed = authorize(cluster, user, actionOf(spec, namespace));
  return allowed ? { allowed, reason: 'RBAC' } : { allowed };
}

function actionOf(spec: JsonObject, namespace: string | undefined): Action {
  if (isRecord(spec['nonResourceAttributes'])) {
    const { nonResourceAttributes } = spec;
    return {
      verb: stringAt(nonResourceAttributes, 'verb') ?? '',
      path: stringAt(nonResourceAttributes, 'path') ?? '',
    };
  }
  if (!isRecord(spec['resourceAttributes'])) {
    throw badRequest('spec must have resourceAttributes or nonResourceAttributes');
  }
  const { resourceAttributes } = spec;
  const text = (key: string): string => stringAt(resourceAttributes, key) ?? '';
  return {
    verb: text('verb'),
    group: text('group'),
    resource: text('resource'),
    subresource: text('subresource'),
    name: text('name'),
    namespace: namespace ?? text('namespace'),
  };
}

function reviewRules(cluster: Cluster, user: User, namespace: string | undefined): JsonObject {
  const resourceRules: JsonObject[] = [];
  const nonResourceRules: JsonObject[] = [];
  for (const rule of rulesOf(cluster, user, namespace)) {
    const { verbs, apiGroups, resources, resourceNames, nonResourceURLs } = rule;
    if (nonResourceURLs.length > 0) nonResourceRules.push({ verbs, nonResourceURLs });
    if (resources.length > 0) resourceRules.push({ verbs, apiGroups, resources, resourceNames });
  }
  return { resourceRules, nonResourceRules, incomplete: false };
}
