// What a policy of waypoints is attached to, and which of many hold for one request. Used for AuthorizationPolicies,
// RequestAuthentications and whatever else has targetRefs. Pure.

export type PolicyTarget =
  /** `namespace/hostname`; wherever a waypoint serves it. */
  | { readonly kind: 'service'; readonly service: string }
  /** `namespace/name`: everything that it serves. */
  | { readonly kind: 'gateway'; readonly gateway: string }
  /** Everything that gateways of the class serve. */
  | { readonly kind: 'gateway-class'; readonly name: string }
  /** Every service and gateway of it: what holds in place of targets that cannot be read. */
  | { readonly kind: 'namespace'; readonly namespace: string };

/** Where a request is. */
export type PolicyPlace = {
  /** `namespace/name` of the Gateway this waypoint runs for. */
  readonly gateway: string;
  readonly gatewayClass: string;
  /** Key of the service that was asked for; undefined: a workload. */
  readonly service: string | undefined;
};

export function isInReach(target: PolicyTarget, place: PolicyPlace): boolean {
  switch (target.kind) {
    case 'service':
      return target.service === place.service;
    case 'gateway':
      return target.gateway === place.gateway;
    case 'gateway-class':
      return target.name === place.gatewayClass;
    case 'namespace': {
      const prefix = `${target.namespace}/`;
      return place.gateway.startsWith(prefix) || place.service?.startsWith(prefix) === true;
    }
  }
}

type Attached = {
  readonly namespace: string;
  readonly name: string;
  readonly targets: readonly PolicyTarget[];
};

/**
 * Policies by where they hold, so that a decision looks at those of its place only. Made anew when any of them changes;
 * one place always gives the very same list, until then.
 */
export class AttachedPolicies<T extends Attached> {
  readonly #byTarget = new Map<string, T[]>();
  readonly #byPlace = new Map<string, readonly T[]>();

  constructor(policies: Iterable<T>) {
    for (const policy of policies) {
      for (const key of new Set(policy.targets.map(keyOf))) {
        const list = this.#byTarget.get(key);
        if (list === undefined) this.#byTarget.set(key, [policy]);
        else list.push(policy);
      }
    }
  }

  /** By namespace and name. */
  of(place: PolicyPlace): readonly T[] {
    const key = `${place.gateway} ${place.gatewayClass} ${place.service ?? ''}`;
    const known = this.#byPlace.get(key);
    if (known !== undefined) return known;
    const found = new Set(targetKeysOf(place).flatMap((one) => this.#byTarget.get(one) ?? []));
    const sorted = [...found].toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
    this.#byPlace.set(key, sorted);
    return sorted;
  }
}

function nameOf({ namespace, name }: Attached): string {
  return `${namespace}/${name}`;
}

function keyOf(target: PolicyTarget): string {
  switch (target.kind) {
    case 'service':
      return `service ${target.service}`;
    case 'gateway':
      return `gateway ${target.gateway}`;
    case 'gateway-class':
      return `gateway-class ${target.name}`;
    case 'namespace':
      return `namespace ${target.namespace}`;
  }
}

/** The keys of all targets that have the place in reach. */
function targetKeysOf({ gateway, gatewayClass, service }: PolicyPlace): string[] {
  return [
    `gateway ${gateway}`,
    `gateway-class ${gatewayClass}`,
    `namespace ${namespaceOf(gateway)}`,
    ...(service === undefined ? [] : [`service ${service}`, `namespace ${namespaceOf(service)}`]),
  ];
}

function namespaceOf(key: string): string {
  return key.slice(0, Math.max(key.indexOf('/'), 0));
}
