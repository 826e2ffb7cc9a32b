// AuthorizationPolicy (the reference's schema) -> the policy node agents evaluate: its L4 part; and what its status shall
// say. Pure. What an agent cannot evaluate never makes a policy more permissive (authorization-rule.ts).

import type { AuthorizationPolicy, PolicyRule } from '../../mesh/policy.ts';
import type { KubeObject } from '../../runtime/kubernetes/objects.ts';
import { AUTHORIZATION_POLICIES } from '../../runtime/kubernetes/resources.ts';
import type { Problem } from '../../wire/status.ts';
import { type Rule, readRule } from './authorization-rule.ts';
import type { Finding, Outcome } from './outcome.ts';
import { isUnselective, type WorkloadSelector } from './selector.ts';

export type AuthorizationPolicyObject = KubeObject & {
  readonly spec?: {
    readonly selector?: WorkloadSelector;
    readonly targetRef?: unknown;
    readonly targetRefs?: readonly unknown[];
    readonly action?: string;
    readonly provider?: { readonly name?: string };
    readonly rules?: readonly Rule[];
  };
};

export type PolicyTranslation = {
  readonly object: AuthorizationPolicyObject;
  /** undefined: nothing of it concerns node agents. */
  readonly policy: AuthorizationPolicy | undefined;
  /** Why it is not, or not all of it, what its author wrote. */
  readonly limits: readonly Limit[];
};

/** Something of a policy that does not take effect as written. */
export type Limit = { readonly reason: string; readonly message: string; readonly remedy: string };

/** Ours, and the reference's for those who come with theirs. */
const DRY_RUN = ['ambit-mesh.io/dry-run', 'istio.io/dry-run'] as const;

/** What the reference takes for true in an annotation. */
const TRUE = /^(1|t|true)$/i;

const ACTIONS: Readonly<Record<string, AuthorizationPolicy['action']>> = {
  ALLOW: 'allow',
  DENY: 'deny',
  AUDIT: 'audit',
};

export function isDryRun({ metadata }: AuthorizationPolicyObject): boolean {
  return DRY_RUN.some((key) => TRUE.test(metadata.annotations?.[key] ?? ''));
}

/** Whether waypoints enforce the object, with all that it says of requests; else node agents do. */
export function isForWaypoints({
  spec = {},
}: {
  readonly spec?: { readonly targetRef?: unknown; readonly targetRefs?: readonly unknown[] };
}): boolean {
  return spec.targetRef !== undefined || (spec.targetRefs ?? []).length > 0;
}

export function authorizationOf(
  object: AuthorizationPolicyObject,
  context: { readonly rootNamespace: string },
): PolicyTranslation {
  const { name = '', namespace = '' } = object.metadata;
  const spec = object.spec ?? {};
  const action = ACTIONS[spec.action ?? 'ALLOW'];
  if (action === undefined) {
    return { object, policy: undefined, limits: [unsupportedAction(spec.action ?? '')] };
  }
  const rules: PolicyRule[] = [];
  const limits: Limit[] = [];
  for (const [index, rule] of (spec.rules ?? []).entries()) {
    const { clauses, unsupported } = readRule(rule, namespace);
    if (unsupported.length > 0) limits.push(unsupportedRule(action, index, unsupported));
    // of an AUDIT, too, no more is reported than its author asked for
    if (unsupported.length === 0 || action === 'deny') rules.push({ clauses });
  }
  const everywhere = isUnselective(spec.selector);
  return {
    object,
    policy: {
      name,
      namespace,
      scope: !everywhere ? 'workload' : namespace === context.rootNamespace ? 'mesh' : 'namespace',
      action,
      rules,
      dryRun: isDryRun(object),
    },
    limits,
  };
}

/**
 * Of an object that no schema let in and that cannot be read: it may have been meant to forbid, so nothing is allowed
 * where it holds.
 */
export function unreadable(
  object: AuthorizationPolicyObject,
  context: { readonly rootNamespace: string },
  why: string,
): PolicyTranslation {
  const { name = '', namespace = '' } = object.metadata;
  const scope = namespace === context.rootNamespace ? 'mesh' : 'namespace';
  const remedy = `Mend it: kubectl edit authorizationpolicies ${name} -n ${namespace}`;
  const message = `The policy cannot be read, so it allows nothing in its ${scope}: ${why}`;
  return {
    object,
    policy: { name, namespace, scope, action: 'allow', rules: [], dryRun: false },
    limits: [{ reason: 'Unreadable', message, remedy }],
  };
}

function unsupportedAction(action: string): Limit {
  return {
    reason: 'UnsupportedAction',
    message: `spec.action: ${action} has no effect on node agents, which know ALLOW, DENY and AUDIT`,
    remedy: 'Use one of those, or attach the policy to a waypoint with targetRefs',
  };
}

const CONSEQUENCES: Readonly<Record<AuthorizationPolicy['action'], string>> = {
  allow: 'the rule allows nothing',
  deny: 'the rule denies without regard to them',
  audit: 'the rule reports nothing',
};

function unsupportedRule(
  action: AuthorizationPolicy['action'],
  index: number,
  unsupported: readonly string[],
): Limit {
  const fields = unsupported.map((path) => `spec.rules[${index}].${path}`).join(', ');
  return {
    reason: 'UnsupportedField',
    message: `Node agents cannot evaluate ${fields}: ${CONSEQUENCES[action]}`,
    remedy: 'Mend or remove these fields, or attach the policy to a waypoint with targetRefs',
  };
}

/** What people are told of besides the status: whatever is not as it was written. */
export function problemsOf({ object, limits }: PolicyTranslation): Problem[] {
  const { name = '', namespace = '' } = object.metadata;
  return limits.map((limit) => ({
    object: `AuthorizationPolicy ${namespace}/${name}`,
    ...limit,
  }));
}

/** `workloads`: how many of the mesh the policy holds for. */
export function authorizationOutcome(translation: PolicyTranslation, workloads: number): Outcome {
  const { object, policy, limits } = translation;
  return {
    resource: AUTHORIZATION_POLICIES,
    object,
    findings: [acceptance(limits), enforcement(policy, limits, workloads)],
  };
}

function acceptance(limits: readonly Limit[]): Finding {
  if (limits.length === 0) {
    return {
      type: 'Accepted',
      status: 'True',
      reason: 'Accepted',
      message: 'The policy is valid',
    };
  }
  return {
    type: 'Accepted',
    status: 'False',
    reason: limits.some(({ reason }) => reason === 'Unreadable') ? 'Invalid' : 'UnsupportedValue',
    message: limits.map(({ message, remedy }) => `${message}. ${remedy}`).join('; '),
  };
}

function enforcement(
  policy: AuthorizationPolicy | undefined,
  limits: readonly Limit[],
  workloads: number,
): Finding {
  const type = 'Enforced';
  const on = `on ${workloads} ${workloads === 1 ? 'workload' : 'workloads'}`;
  const not = (reason: string, message: string): Finding => {
    return { type, status: 'False', reason, message };
  };
  if (policy === undefined) {
    const { reason = 'Unsupported', message = '' } = limits[0] ?? {};
    return not(reason, message);
  }
  if (workloads === 0) return not('NoWorkloads', 'The policy selects no workload of the mesh');
  if (policy.action === 'audit')
    return not('AuditOnly', `Matches are reported ${on}, never decided`);
  if (policy.dryRun)
    return not('DryRun', `Evaluated in dry run ${on}: what it would do is reported`);
  if (limits.length > 0) {
    const message = `Enforced ${on}, more strictly than written: see condition Accepted`;
    return { type, status: 'True', reason: 'PartiallyEnforced', message };
  }
  return { type, status: 'True', reason: 'Enforced', message: `Enforced ${on}` };
}
