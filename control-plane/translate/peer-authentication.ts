// PeerAuthentication -> DENY policies, since the wire has no STRICT bit: plaintext is what comes without an identity.
// Pure. Precedence: workload, namespace, mesh; within one the oldest wins; UNSET inherits; DISABLE counts as PERMISSIVE.

import {
  type AuthorizationPolicy,
  convertedPolicyName,
  EMPTY_MATCH,
  type PolicyRule,
  STRICT_POLICY_NAME,
} from '../../mesh/policy.ts';
import type { KubeObject, Pod } from '../../runtime/kubernetes/objects.ts';
import { PEER_AUTHENTICATIONS } from '../../runtime/kubernetes/resources.ts';
import type { Finding, Outcome } from './outcome.ts';
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
  effectOn(pod: Pod): PeerAuthenticationEffect;
  /** What each object's status shall say; `workloads` of the mesh have it among their effect's `by`. */
  outcomes(workloads: (object: PeerAuthenticationObject) => number): Outcome[];
};

export type PeerAuthenticationEffect = {
  /** `namespace/name` of the policy that applies to the pod, if any. */
  readonly policy: string | undefined;
  /** The objects that have a say: the workload's own, and those it leaves things to. */
  readonly by: readonly PeerAuthenticationObject[];
};

const PLAINTEXT: PolicyRule['clauses'][number] = {
  matches: [{ ...EMPTY_MATCH, notPrincipals: [{ kind: 'presence' }] }],
};

type Mode = 'strict' | 'permissive' | 'unset';

/** The objects of one namespace that can have a say, by age. */
type Place = {
  /** Without a selector: only the oldest counts. */
  readonly general: PeerAuthenticationObject | undefined;
  readonly selective: readonly PeerAuthenticationObject[];
};

export function peerAuthenticationsOf(
  objects: Iterable<PeerAuthenticationObject>,
  context: { readonly rootNamespace: string },
): PeerAuthenticationTranslation {
  const all = [...objects].toSorted(byAge);
  const places = new Map<string, Place>();
  for (const [namespace, here] of Map.groupBy(all, namespaceOf)) {
    const [general] = here.filter(isGeneral);
    places.set(namespace, { general, selective: here.filter((object) => !isGeneral(object)) });
  }
  const inMesh = places.get(context.rootNamespace)?.general;
  /** From the namespace's object to the mesh's, as far as the mode is left open. */
  const inherited = (namespace: string): { mode: Mode; by: PeerAuthenticationObject[] } => {
    const own = places.get(namespace)?.general;
    const mode = modeOf(own?.spec?.mtls);
    const by = own === undefined ? [] : [own];
    if (mode !== 'unset' || inMesh === undefined || inMesh === own) return { mode, by };
    return { mode: modeOf(inMesh.spec?.mtls), by: [...by, inMesh] };
  };

  const policies = [denial(context.rootNamespace, STRICT_POLICY_NAME, [{ clauses: [PLAINTEXT] }])];
  const converted = new Set<PeerAuthenticationObject>();
  for (const [namespace, { selective }] of places) {
    for (const object of selective) {
      const rule = portRule(object, effective(object, inherited(namespace).mode));
      if (rule === undefined) continue;
      converted.add(object);
      policies.push(denial(namespace, convertedName(object), [rule]));
    }
  }
  return {
    policies,
    effectOn(pod) {
      const namespace = pod.metadata.namespace ?? '';
      const own = places
        .get(namespace)
        ?.selective.find(({ spec }) => selects(spec?.selector ?? {}, pod));
      const above = inherited(namespace);
      const mode = own === undefined ? above.mode : effective(own, above.mode);
      const isLeft = own === undefined || modeOf(own.spec?.mtls) === 'unset';
      const by = [...(own === undefined ? [] : [own]), ...(isLeft ? above.by : [])];
      if (own !== undefined && converted.has(own)) {
        return { policy: `${namespace}/${convertedName(own)}`, by };
      }
      const strict = `${context.rootNamespace}/${STRICT_POLICY_NAME}`;
      return { policy: mode === 'strict' ? strict : undefined, by };
    },
    outcomes: (workloads) =>
      all.map((object) => {
        const winner = isGeneral(object) ? places.get(namespaceOf(object))?.general : object;
        return {
          resource: PEER_AUTHENTICATIONS,
          object,
          findings: [acceptance(object, winner), enforcement(object, winner, workloads(object))],
        };
      }),
  };
}

function namespaceOf({ metadata }: KubeObject): string {
  return metadata.namespace ?? '';
}

function isGeneral({ spec }: PeerAuthenticationObject): boolean {
  return isUnselective(spec?.selector);
}

function effective(object: PeerAuthenticationObject, inherited: Mode): Mode {
  const own = modeOf(object.spec?.mtls);
  return own === 'unset' ? inherited : own;
}

/** What port-level settings make of the object's own mode; undefined when they change nothing. */
function portRule(object: PeerAuthenticationObject, mode: Mode): PolicyRule | undefined {
  const ports = portsOf(object);
  const of = (wanted: Mode): number[] =>
    ports.filter((entry) => entry.mode === wanted).map(({ port }) => port);
  if (mode === 'strict') {
    const permissive = of('permissive');
    if (permissive.length === 0) return undefined;
    return {
      clauses: [PLAINTEXT, { matches: [{ ...EMPTY_MATCH, notDestinationPorts: permissive }] }],
    };
  }
  const strict = of('strict');
  if (strict.length === 0) return undefined;
  return { clauses: [PLAINTEXT, { matches: [{ ...EMPTY_MATCH, destinationPorts: strict }] }] };
}

function portsOf({ spec }: PeerAuthenticationObject): { port: number; mode: Mode }[] {
  return Object.entries(spec?.portLevelMtls ?? {})
    .map(([port, mtls]) => ({ port: Number(port), mode: modeOf(mtls) }))
    .filter(({ port }) => Number.isInteger(port) && port > 0 && port <= 65_535);
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
    case undefined:
    case 'UNSET':
      return 'unset';
    case 'PERMISSIVE':
    case 'DISABLE':
      return 'permissive';
    default:
      // a mode that no schema let in may have been meant to forbid
      return 'strict';
  }
}

function byAge(a: KubeObject, b: KubeObject): number {
  const order = (object: KubeObject): string =>
    `${object.metadata.creationTimestamp ?? ''} ${object.metadata.name}`;
  return order(a) < order(b) ? -1 : 1;
}

function acceptance(
  object: PeerAuthenticationObject,
  winner: PeerAuthenticationObject | undefined,
): Finding {
  const refused = (reason: string, message: string): Finding => {
    return { type: 'Accepted', status: 'False', reason, message };
  };
  if (winner !== object) {
    const name = `${namespaceOf(object)}/${winner?.metadata.name}`;
    return refused('Conflicted', `${name} is older, and also without a selector: it holds instead`);
  }
  const ports = Object.keys(object.spec?.portLevelMtls ?? {});
  if (ports.length > 0 && isGeneral(object)) {
    const message = 'spec.portLevelMtls has no effect without spec.selector.matchLabels: set one';
    return refused('UnsupportedValue', message);
  }
  if (ports.length !== portsOf(object).length) {
    const message = 'spec.portLevelMtls: a port is a number from 1 to 65535; others have no effect';
    return refused('Invalid', message);
  }
  const message = 'The policy is valid';
  return { type: 'Accepted', status: 'True', reason: 'Accepted', message };
}

function enforcement(
  object: PeerAuthenticationObject,
  winner: PeerAuthenticationObject | undefined,
  workloads: number,
): Finding {
  const type = 'Enforced';
  if (winner !== object) {
    const message = 'Another PeerAuthentication holds instead';
    return { type, status: 'False', reason: 'Conflicted', message };
  }
  if (workloads === 0) {
    const message =
      'It decides for no workload of the mesh: none is selected, or others come first';
    return { type, status: 'False', reason: 'NoWorkloads', message };
  }
  const mode = object.spec?.mtls?.mode ?? 'UNSET';
  const on = `${workloads} ${workloads === 1 ? 'workload' : 'workloads'}`;
  return { type, status: 'True', reason: 'Enforced', message: `Mode ${mode} holds for ${on}` };
}
