// What is published: an immutable version of every resource, named and versioned by content, and what changed since the
// version before. Written by app.ts after each translation, read by every push session.

import { createHash } from 'node:crypto';
import { policyKey } from '../mesh/policy.ts';
import { serviceKey } from '../mesh/service.ts';
import { encodeService, encodeWorkload } from '../wire/address-resource.ts';
import {
  encodeEnrolment,
  type Resource,
  TYPE_ADDRESS,
  TYPE_AUTHORIZATION,
  TYPE_ENROLMENT,
} from '../wire/discovery.ts';
import { encodePolicy } from '../wire/policy-resource.ts';
import type { Translation } from './translate/world.ts';

export type TypeUrl = typeof TYPE_ADDRESS | typeof TYPE_AUTHORIZATION | typeof TYPE_ENROLMENT;

/** The order types are sent in: policies before the workloads they protect, both before a pod is enrolled. */
export const TYPES: readonly TypeUrl[] = [TYPE_AUTHORIZATION, TYPE_ADDRESS, TYPE_ENROLMENT];

export type StoredResource = Resource & {
  /** Only the agent of this node may have it; undefined: everybody. */
  readonly node: string | undefined;
};

export type Publication = {
  readonly version: number;
  readonly resources: ReadonlyMap<TypeUrl, ReadonlyMap<string, StoredResource>>;
  /** Names that were added, changed or removed since the version before. */
  readonly changed: ReadonlyMap<TypeUrl, ReadonlySet<string>>;
};

const NOTHING: Publication = {
  version: 0,
  resources: new Map(TYPES.map((type) => [type, new Map()])),
  changed: new Map(),
};

export class Store {
  #current = NOTHING;
  readonly #listeners = new Set<(publication: Publication) => void>();

  get current(): Publication {
    return this.#current;
  }

  /** Returns whether anything differs from the version before; if not, no new version is made. */
  publish(
    translation: Pick<Translation, 'workloads' | 'services' | 'policies' | 'enrolments'>,
  ): boolean {
    const resources = resourcesOf(translation);
    const changed = new Map<TypeUrl, ReadonlySet<string>>();
    for (const type of TYPES) {
      const names = difference(this.#current.resources.get(type), resources.get(type));
      if (names.size > 0) changed.set(type, names);
    }
    // the very first version is one even if it is empty: agents wait to hear so
    if (changed.size === 0 && this.#current.version > 0) return false;
    this.#current = { version: this.#current.version + 1, resources, changed };
    for (const listener of this.#listeners) listener(this.#current);
    return true;
  }

  subscribe(listener: (publication: Publication) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}

function resourcesOf(
  translation: Pick<Translation, 'workloads' | 'services' | 'policies' | 'enrolments'>,
): Map<TypeUrl, Map<string, StoredResource>> {
  const addresses = new Map<string, StoredResource>();
  const policies = new Map<string, StoredResource>();
  const enrolments = new Map<string, StoredResource>();
  const put = (
    into: Map<string, StoredResource>,
    typeUrl: TypeUrl,
    name: string,
    body: Uint8Array,
    node?: string,
  ): void => {
    into.set(name, { name, typeUrl, body, version: contentHash(body), aliases: [], node });
  };
  for (const service of translation.services) {
    put(addresses, TYPE_ADDRESS, serviceKey(service), encodeService(service));
  }
  for (const workload of translation.workloads) {
    put(addresses, TYPE_ADDRESS, workload.uid, encodeWorkload(workload));
  }
  for (const policy of translation.policies) {
    put(policies, TYPE_AUTHORIZATION, policyKey(policy), encodePolicy(policy));
  }
  for (const { node, enrolment } of translation.enrolments) {
    put(enrolments, TYPE_ENROLMENT, enrolment.podUid, encodeEnrolment(enrolment), node);
  }
  return new Map<TypeUrl, Map<string, StoredResource>>([
    [TYPE_ADDRESS, addresses],
    [TYPE_AUTHORIZATION, policies],
    [TYPE_ENROLMENT, enrolments],
  ]);
}

/** The same on every replica, so that an agent may resume at another one. 96 bits: no two of a mesh are alike. */
function contentHash(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('base64url').slice(0, 16);
}

function difference(
  before: ReadonlyMap<string, StoredResource> = new Map(),
  after: ReadonlyMap<string, StoredResource> = new Map(),
): Set<string> {
  const names = new Set<string>();
  for (const [name, { version, node }] of after) {
    const old = before.get(name);
    if (old?.version !== version || old.node !== node) names.add(name);
  }
  for (const name of before.keys()) if (!after.has(name)) names.add(name);
  return names;
}
