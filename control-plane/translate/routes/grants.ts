// ReferenceGrants: who may point into another namespace. Asked by backends.ts. A grant is an answer of the namespace that is
// pointed into, about one kind of one other namespace; names in it are exact, there are no wildcards.

import type { ReferenceGrant } from '../../../runtime/kubernetes/gateway-objects.ts';

export type From = { readonly group: string; readonly kind: string; readonly namespace: string };
export type To = {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
};

export class Grants {
  readonly #byNamespace = new Map<string, ReferenceGrant[]>();

  constructor(grants: Iterable<ReferenceGrant>) {
    for (const grant of grants) {
      const namespace = grant.metadata.namespace ?? '';
      const known = this.#byNamespace.get(namespace);
      if (known === undefined) this.#byNamespace.set(namespace, [grant]);
      else known.push(grant);
    }
  }

  permits(from: From, to: To): boolean {
    if (from.namespace === to.namespace) return true;
    const grants = this.#byNamespace.get(to.namespace) ?? [];
    return grants.some(
      ({ spec }) =>
        spec.from.some(
          ({ group, kind, namespace }) =>
            group === from.group && kind === from.kind && namespace === from.namespace,
        ) &&
        spec.to.some(
          ({ group, kind, name = '' }) =>
            group === to.group && kind === to.kind && (name === '' || name === to.name),
        ),
    );
  }
}
