// Every policy object for node agents at one moment: what they are told, which pod has which of them attached, and what
// each object's status shall say. Pure. Called by world.ts, once a translation.

import { type AuthorizationPolicy, policyKey } from '../../mesh/policy.ts';
import type { Pod } from '../../runtime/kubernetes/objects.ts';
import type { Problem } from '../../wire/status.ts';
import {
  type AuthorizationPolicyObject,
  authorizationOf,
  authorizationOutcome,
  isForWaypoints,
  type PolicyTranslation,
  problemsOf,
  unreadable,
} from './authorization.ts';
import type { Outcome } from './outcome.ts';
import { type PeerAuthenticationObject, peerAuthenticationsOf } from './peer-authentication.ts';
import { selects } from './selector.ts';

export type PolicyObjects = {
  readonly authorizationPolicies: Iterable<AuthorizationPolicyObject>;
  readonly peerAuthentications: Iterable<PeerAuthenticationObject>;
};

export class Policies {
  readonly policies: readonly AuthorizationPolicy[];
  readonly problems: readonly Problem[];
  readonly #rootNamespace: string;
  readonly #translations: readonly PolicyTranslation[];
  readonly #selective: readonly PolicyTranslation[];
  readonly #peer: ReturnType<typeof peerAuthenticationsOf>;
  /** Workloads of the mesh, by the object (PeerAuthentication) or policy key they are under. */
  readonly #held = new Map<object | string, number>();

  constructor(objects: PolicyObjects, context: { readonly rootNamespace: string }) {
    this.#rootNamespace = context.rootNamespace;
    this.#translations = [...objects.authorizationPolicies]
      .filter((object) => !isForWaypoints(object))
      .map((object) => read(object, context));
    this.#selective = this.#translations.filter(({ policy }) => policy?.scope === 'workload');
    this.#peer = peerAuthenticationsOf(objects.peerAuthentications, context);
    const own = this.#translations.flatMap(({ policy }) => policy ?? []);
    this.policies = [...own, ...this.#peer.policies];
    this.problems = this.#translations.flatMap(problemsOf);
  }

  /** `namespace/name` of the policies whose selector picked the pod; `isInMesh` pods are counted for {@link outcomes}. */
  attachedTo(pod: Pod, isInMesh: boolean): readonly string[] {
    const { namespace = '' } = pod.metadata;
    const names: string[] = [];
    for (const { policy, object } of this.#selective) {
      if (policy === undefined) continue;
      // in the root namespace a selector reaches into every namespace
      const reaches = policy.namespace === namespace || policy.namespace === this.#rootNamespace;
      if (reaches && selects(object.spec?.selector ?? {}, pod)) names.push(policyKey(policy));
    }
    const { policy: strict, by } = this.#peer.effectOn(pod);
    if (isInMesh) {
      for (const key of [...names, ...by, scopeKey(namespace), EVERYWHERE]) this.#count(key);
    }
    return (strict === undefined ? names : [...names, strict]).toSorted();
  }

  /** After every pod was asked about. */
  outcomes(): Outcome[] {
    const held = (key: object | string): number => this.#held.get(key) ?? 0;
    return [
      ...this.#translations.map((translation) => {
        const { policy } = translation;
        return authorizationOutcome(translation, policy === undefined ? 0 : held(reachOf(policy)));
      }),
      ...this.#peer.outcomes(held),
    ];
  }

  #count(key: object | string): void {
    this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
  }
}

const EVERYWHERE = 'mesh';
/** No policy key ends with a slash. */
function scopeKey(namespace: string): string {
  return `${namespace}/`;
}

function reachOf(policy: AuthorizationPolicy): string {
  switch (policy.scope) {
    case 'mesh':
      return EVERYWHERE;
    case 'namespace':
      return scopeKey(policy.namespace);
    case 'workload':
      return policyKey(policy);
  }
}

/** A schema keeps bad shapes out of the cluster; one that slipped through must not stop everybody else's updates. */
function read(
  object: AuthorizationPolicyObject,
  context: { readonly rootNamespace: string },
): PolicyTranslation {
  try {
    return authorizationOf(object, context);
  } catch (error) {
    return unreadable(object, context, error instanceof Error ? error.message : String(error));
  }
}
