// Which kinds are served now: the built-in ones and those of CustomResourceDefinitions.
// The request router, discovery and OpenAPI read it; crd/ registers and unregisters.

import { BUILT_IN_KINDS } from './built-in-kinds.ts';
import { apiVersionOf, type KindDefinition } from './kinds.ts';

export class KindRegistry {
  readonly #byPath = new Map<string, KindDefinition>();
  #version = 1;
  #all: readonly KindDefinition[] | undefined;

  constructor(kinds: readonly KindDefinition[] = BUILT_IN_KINDS) {
    for (const kind of kinds) this.register(kind);
  }

  /** Grows with each change, so that derived documents can be cached. */
  get version(): number {
    return this.#version;
  }

  register(kind: KindDefinition): void {
    this.#byPath.set(pathOf(kind.group, kind.version, kind.plural), kind);
    this.#changed();
  }

  unregister(kind: Pick<KindDefinition, 'group' | 'version' | 'plural'>): void {
    if (this.#byPath.delete(pathOf(kind.group, kind.version, kind.plural))) this.#changed();
  }

  find(group: string, version: string, plural: string): KindDefinition | undefined {
    return this.#byPath.get(pathOf(group, version, plural));
  }

  /** Any served version of a kind's resource. */
  findAnyVersion(group: string, plural: string): KindDefinition | undefined {
    return this.all().find((kind) => kind.group === group && kind.plural === plural);
  }

  findKind(apiVersion: string, kind: string): KindDefinition | undefined {
    return this.all().find((entry) => entry.kind === kind && apiVersionOf(entry) === apiVersion);
  }

  all(): readonly KindDefinition[] {
    this.#all ??= [...this.#byPath.values()];
    return this.#all;
  }

  /** Groups in discovery order, each with its versions, the preferred one first. */
  groups(): { group: string; versions: string[] }[] {
    const groups = new Map<string, string[]>();
    for (const { group, version } of this.all()) {
      const versions = groups.get(group) ?? [];
      if (!versions.includes(version)) versions.push(version);
      groups.set(group, versions);
    }
    return [...groups].map(([group, versions]) => ({
      group,
      versions: versions.sort(compareVersions),
    }));
  }

  #changed(): void {
    this.#version += 1;
    this.#all = undefined;
  }
}

/** Where objects of a kind are kept: one bucket for all versions. */
export function bucketOf(kind: Pick<KindDefinition, 'group' | 'plural'>): string {
  return `${kind.group}/${kind.plural}`;
}

function pathOf(group: string, version: string, plural: string): string {
  return `${group}/${version}/${plural}`;
}

/** v2 before v1 before v1beta2 before v1beta1 before v1alpha1 before anything else. */
export function compareVersions(a: string, b: string): number {
  const left = rank(a);
  const right = rank(b);
  for (let index = 0; index < 3; index += 1) {
    const difference = (right[index] ?? 0) - (left[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

function rank(version: string): readonly number[] {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
  if (match === null) return [0, 0, 0];
  const stability = match[2] === undefined ? 3 : match[2] === 'beta' ? 2 : 1;
  return [stability, Number(match[1]), Number(match[3] ?? 0)];
}
