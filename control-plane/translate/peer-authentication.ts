// PeerAuthentication -> DENY policies, since the wire has no STRICT bit: plaintext is what comes without an identity.
// Pure. Precedence: workload, namespace, mesh; within one the oldest wins; UNSET inherits; DISABLE counts as PERMISSIVE.

import {
  type AuthorizationPolicy,
  convertedPolicyName,
  type PolicyRule,
  STRICT_POLICY_NAME,
} from '../../mesh/policy.ts';
import type { KubeObject, Pod } from '../../runtime/kubernetes/objects.ts';
import { NO_MATCH } from './authorization.ts';
import { isUnselective, selects, type WorkloadSelector } from './selector.ts';

type Mtls = { readonly mode?: string };
export type PeerAuthenticationObject = KubeObject & {
  readonly spec?: {
    readonly selector?: WorkloadSelector;
    readonly mtls?: Mtls;
    readonly portLevelMtls?: Readonly<Record<string, Mtls>>;
  };
};

export type PeerAuthenticationTranslation = {
  /** The policies that exist at all: the static one, and one for each object with port-level settings. */
  readonly policies: readonly AuthorizationPolicy[];
  /** `namespace/name` of the policy that applies to a pod, if any. */
  policyFor(pod: Pod): string | undefined;
};

const PLAINTEXT: PolicyRule['clauses'][number] = {
  matches: [{ ...NO_MATCH, notPrincipals: [{ kind: 'presence' }] }],
};

type Mode = 'strict' | 'permissive' | 'unset';

export function peerAuthenticationsOf(
  objects: Iterable<PeerAuthenticationObject>,
  context: { readonly rootNamespace: string },
): PeerAuthenticationTranslation {
  const byNamespace = new Map<string, PeerAuthenticationObject[]>();
  for (const object of [...objects].toSorted(byAge)) {
    const namespace = object.metadata.namespace ?? '';
    byNamespace.set(namespace, [...(byNamespace.get(namespace) ?? []), object]);
  }
  const general = (namespace: string): PeerAuthenticationObject | undefined =>
    byNamespace.get(namespace)?.find(({ spec }) => isUnselective(spec?.selector));
  const inherited = (namespace: string): Mode => {
    const own = modeOf(general(namespace)?.spec?.mtls);
    return own === 'unset' ? modeOf(general(context.rootNamespace)?.spec?.mtls) : own;
  };
  const selective = (pod: Pod): PeerAuthenticationObject | undefined =>
    byNamespace
      .get(pod.metadata.namespace ?? '')
      ?.find(({ spec }) => !isUnselective(spec?.selector) && selects(spec?.selector ?? {}, pod));

  const policies: AuthorizationPolicy[] = [
    denial(context.rootNamespace, STRICT_POLICY_NAME, [{ clauses: [PLAINTEXT] }]),
  ];
  const converted = new Set<string>();
  for (const [namespace, ofNamespace] of byNamespace) {
    for (const object of ofNamespace) {
      const rule = portRule(object, effective(object, inherited(namespace)));
      if (rule === undefined) continue;
      const name = convertedName(object);
      converted.add(`${namespace}/${name}`);
      policies.push(denial(namespace, name, [rule]));
    }
  }
  return {
    policies,
    policyFor(pod) {
      const namespace = pod.metadata.namespace ?? '';
      const own = selective(pod);
      if (own !== undefined) {
        const key = `${namespace}/${convertedName(own)}`;
        if (converted.has(key)) return key;
      }
      const mode = own === undefined ? inherited(namespace) : effective(own, inherited(namespace));
      return mode === 'strict' ? `${context.rootNamespace}/${STRICT_POLICY_NAME}` : undefined;
    },
  };
}

function effective(object: PeerAuthenticationObject, inherited: Mode): Mode {
  const own = modeOf(object.spec?.mtls);
  return own === 'unset' ? inherited : own;
}

/** What port-level settings make of the object's own mode; undefined when they change nothing. */
function portRule(object: PeerAuthenticationObject, mode: Mode): PolicyRule | undefined {
  // the reference honours ports only together with a selector
  if (isUnselective(object.spec?.selector)) return undefined;
  const ports = Object.entries(object.spec?.portLevelMtls ?? {}).map(([port, mtls]) => ({
    port: Number(port),
    mode: modeOf(mtls),
  }));
  const of = (wanted: Mode): number[] =>
    ports.filter((entry) => entry.mode === wanted).map(({ port }) => port);
  if (mode === 'strict') {
    const permissive = of('permissive');
    if (permissive.length === 0) return undefined;
    return {
      clauses: [PLAINTEXT, { matches: [{ ...NO_MATCH, notDestinationPorts: permissive }] }],
    };
  }
  const strict = of('strict');
  if (strict.length === 0) return undefined;
  return { clauses: [PLAINTEXT, { matches: [{ ...NO_MATCH, destinationPorts: strict }] }] };
}

function denial(
  namespace: string,
  name: string,
  rules: readonly PolicyRule[],
): AuthorizationPolicy {
  return { name, namespace, scope: 'workload', action: 'deny', rules, dryRun: false };
}

function convertedName(object: PeerAuthenticationObject): string {
  return convertedPolicyName(object.metadata.name ?? '');
}

function modeOf(mtls: Mtls | undefined): Mode {
  switch (mtls?.mode) {
    case 'STRICT':
      return 'strict';
    case 'PERMISSIVE':
    case 'DISABLE':
      return 'permissive';
    default:
      return 'unset';
  }
}

function byAge(a: KubeObject, b: KubeObject): number {
  const order = (object: KubeObject): string =>
    `${object.metadata.creationTimestamp ?? ''} ${object.metadata.name}`;
  return order(a) < order(b) ? -1 : 1;
}
