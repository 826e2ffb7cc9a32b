// AuthorizationPolicy with targetRefs -> the policy waypoints evaluate, and what its status shall say. Pure. What cannot be
// read never makes a policy more permissive (http-rule.ts). Policies with a selector are node agents': authorization.ts.

import type { HttpPolicy, HttpRule } from '../../mesh/http-policy.ts';
import { AUTHORIZATION_POLICIES } from '../../runtime/kubernetes/resources.ts';
import type { Problem } from '../../wire/status.ts';
import { type AuthorizationPolicyObject, isDryRun, type Limit } from './authorization.ts';
import { PROVIDERS_CONFIG_MAP, type Providers } from './extension-providers.ts';
import { readHttpRule } from './http-rule.ts';
import type { Finding, Outcome } from './outcome.ts';
import {
  type Attachment,
  acceptedFinding,
  attachmentOf,
  enforcedFinding,
  type TargetWorld,
  targetRefsOf,
} from './policy-attachment.ts';

export type HttpPolicyTranslation = {
  readonly object: AuthorizationPolicyObject;
  readonly policy: HttpPolicy;
  readonly attachment: Attachment;
  /** Why it is not what its author wrote. */
  readonly limits: readonly Limit[];
};

export type HttpPolicyWorld = TargetWorld & { readonly providers: Providers };

const ACTIONS = { ALLOW: 'allow', DENY: 'deny', AUDIT: 'audit', CUSTOM: 'custom' } as const;

export function httpAuthorizationOf(
  object: AuthorizationPolicyObject,
  world: HttpPolicyWorld,
): HttpPolicyTranslation {
  const { name = '', namespace = '' } = object.metadata;
  const spec = object.spec ?? {};
  const attachment = attachmentOf(targetRefsOf(spec), namespace, world);
  const given = spec.action ?? 'ALLOW';
  const action = Object.hasOwn(ACTIONS, given) ? ACTIONS[given as keyof typeof ACTIONS] : undefined;
  const rules: HttpRule[] = [];
  const limits: Limit[] = [];
  for (const [index, one] of (spec.rules ?? []).entries()) {
    const { rule, unreadable } = readHttpRule(one, namespace);
    if (unreadable.length > 0) limits.push(unreadableRule(action ?? 'allow', index, unreadable));
    rules.push(rule);
  }
  const common = {
    namespace,
    name,
    targets: attachment.targets,
    rules,
    dryRun: isDryRun(object),
  };
  if (action === undefined) {
    const remedy = 'Use ALLOW, DENY, AUDIT or CUSTOM';
    limits.push({
      reason: 'UnsupportedAction',
      message: `spec.action: ${given} is not known, so the policy allows nothing`,
      remedy,
    });
    return { object, attachment, limits, policy: { ...common, action: 'allow', rules: [] } };
  }
  if (action !== 'custom') return { object, attachment, limits, policy: { ...common, action } };
  const wanted = spec.provider?.name ?? '';
  const provider = world.providers.get(wanted) ?? {
    name: wanted === '' ? 'unnamed' : wanted,
    why: `there is no provider "${wanted}"`,
  };
  if ('why' in provider) {
    limits.push({
      reason: 'ProviderUnusable',
      message: `Provider "${wanted}" cannot be asked, so what the policy matches is denied: ${provider.why}`,
      remedy: `Define it in ConfigMap ${PROVIDERS_CONFIG_MAP} of namespace ${world.rootNamespace}`,
    });
  }
  return { object, attachment, limits, policy: { ...common, action, provider } };
}

/** Of an object that cannot be read: it may have been meant to forbid, so nothing is allowed where it holds. */
export function unreadableHttpPolicy(
  object: AuthorizationPolicyObject,
  why: string,
): HttpPolicyTranslation {
  const { name = '', namespace = '' } = object.metadata;
  return {
    object,
    policy: {
      namespace,
      name,
      targets: [{ kind: 'namespace', namespace }],
      action: 'allow',
      rules: [],
      dryRun: false,
    },
    attachment: { targets: [], by: [`all of namespace ${namespace}`], limits: [] },
    limits: [
      {
        reason: 'Unreadable',
        message: `The policy cannot be read, so it allows nothing at waypoints of its namespace: ${why}`,
        remedy: `Mend it: kubectl edit authorizationpolicies ${name} -n ${namespace}`,
      },
    ],
  };
}

const CONSEQUENCES: Readonly<Record<HttpPolicy['action'], string>> = {
  allow: 'the rule allows nothing',
  deny: 'the rule denies without regard to them',
  audit: 'the rule reports nothing',
  custom: 'the provider is asked without regard to them',
};

function unreadableRule(
  action: HttpPolicy['action'],
  index: number,
  unreadable: readonly string[],
): Limit {
  const fields = unreadable.map((path) => `spec.rules[${index}].${path}`).join(', ');
  return {
    reason: 'UnsupportedField',
    message: `Waypoints cannot evaluate ${fields}: ${CONSEQUENCES[action]}`,
    remedy: 'Mend or remove these fields',
  };
}

/** What people are told of besides the status. */
export function httpProblemsOf({ object, attachment, limits }: HttpPolicyTranslation): Problem[] {
  const { name = '', namespace = '' } = object.metadata;
  return [...attachment.limits, ...limits].map((limit) => ({
    object: `AuthorizationPolicy ${namespace}/${name}`,
    ...limit,
  }));
}

export function httpAuthorizationOutcome({
  object,
  policy,
  attachment,
  limits,
}: HttpPolicyTranslation): Outcome {
  const accepted = acceptedFinding([...attachment.limits, ...limits]);
  return {
    resource: AUTHORIZATION_POLICIES,
    object,
    findings: [accepted, enforcement(policy, attachment, limits)],
  };
}

function enforcement(
  { action, dryRun }: HttpPolicy,
  attachment: Attachment,
  limits: readonly Limit[],
): Finding {
  const found = enforcedFinding(attachment, limits);
  if (found.status === 'False') return found;
  const at = attachment.by.join(', ');
  if (action === 'audit') {
    return {
      ...found,
      status: 'False',
      reason: 'AuditOnly',
      message: `Matches are reported by ${at}, never decided`,
    };
  }
  if (!dryRun) return found;
  return {
    ...found,
    status: 'False',
    reason: 'DryRun',
    message: `Evaluated in dry run by ${at}: what it would do is reported`,
  };
}
