// Single objects that others name (a ConfigMap of overlays, a Secret with a certificate), each followed by itself: whole
// kinds would bring everybody's. Used by deploy/gateways.ts. Invariant: exactly what was wanted last is followed.

import { type Informer, type InformerParts, inform } from '../../runtime/kubernetes/informer.ts';
import type { KubeObject } from '../../runtime/kubernetes/objects.ts';
import type { Resource } from '../../runtime/kubernetes/resources.ts';
import type { Followed, Reference } from '../deploy/plan.ts';

// Each is a watch of its own: more than this is a cluster whose Gateways nobody can look after by hand.
const MAX_FOLLOWED = 500;

type Entry = { readonly informer: Informer<KubeObject>; listed: boolean };

export class References {
  readonly #parts: InformerParts;
  readonly #onChange: () => void;
  readonly #entries = new Map<string, Entry>();
  readonly #closing = new Set<Promise<void>>();
  #toldOfLimit = false;

  constructor(parts: InformerParts, onChange: () => void) {
    this.#parts = parts;
    this.#onChange = onChange;
  }

  want(references: readonly Reference[]): void {
    const wanted = new Map(references.map((one) => [keyOf(one), one]));
    for (const [key, { informer }] of this.#entries) {
      if (wanted.has(key)) continue;
      this.#entries.delete(key);
      const closing: Promise<void> = informer.close().finally(() => this.#closing.delete(closing));
      this.#closing.add(closing);
    }
    for (const [key, reference] of wanted) {
      if (this.#entries.has(key)) continue;
      if (this.#entries.size >= MAX_FOLLOWED) {
        this.#tellOfLimit(reference);
        return;
      }
      this.#follow(key, reference);
    }
    this.#toldOfLimit = false;
  }

  find<T extends KubeObject>(resource: Resource, namespace: string, name: string): Followed<T> {
    const entry = this.#entries.get(keyOf({ resource, namespace, name }));
    if (entry === undefined || !entry.listed) return 'unknown';
    return entry.informer.get(name, namespace) as T | undefined;
  }

  /** Resolves when all that is wanted was looked for. */
  async listed(): Promise<void> {
    await Promise.allSettled([...this.#entries.values()].map(({ informer }) => informer.synced));
  }

  async close(): Promise<void> {
    this.want([]);
    await Promise.all(this.#closing);
  }

  #follow(key: string, { resource, namespace, name }: Reference): void {
    const informer = inform<KubeObject>(this.#parts, resource, {
      namespace,
      fieldSelector: `metadata.name=${name}`,
    });
    const entry: Entry = { informer, listed: false };
    this.#entries.set(key, entry);
    informer.subscribe(this.#onChange);
    informer.synced.then(
      () => {
        entry.listed = true;
        this.#onChange();
      },
      // closed before it was listed: nobody wants it any more
      () => {},
    );
  }

  #tellOfLimit({ namespace, name }: Reference): void {
    if (this.#toldOfLimit) return;
    this.#toldOfLimit = true;
    this.#parts.log.error('Gateways name more ConfigMaps and Secrets than can be followed', {
      limit: MAX_FOLLOWED,
      'left out': `${namespace}/${name}`,
    });
  }
}

function keyOf({ resource, namespace, name }: Reference): string {
  return `${resource.plural}/${namespace}/${name}`;
}
