// What is served: the legacy lists, and the aggregated form that newer clients read in one request.

import { noSuchPath } from '../errors.ts';
import { apiVersionOf, type KindDefinition } from '../kinds.ts';
import type { KindRegistry } from '../registry.ts';

type GroupVersion = { readonly group: string; readonly version: string };

/** `/api`: the versions of the core group. */
export function coreVersions(kinds: KindRegistry, serverAddress: string): object {
  const core = kinds.groups().find(({ group }) => group === '');
  return {
    kind: 'APIVersions',
    versions: core?.versions ?? [],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
  };
}

/** `/apis`: every named group. */
export function groupList(kinds: KindRegistry): object {
  return {
    kind: 'APIGroupList',
    apiVersion: 'v1',
    groups: kinds
      .groups()
      .filter(({ group }) => group !== '')
      .map(describeGroup),
  };
}

export function groupDocument(kinds: KindRegistry, name: string): object {
  const group = kinds.groups().find((entry) => entry.group === name);
  if (group === undefined) throw noSuchPath();
  return { kind: 'APIGroup', apiVersion: 'v1', ...describeGroup(group) };
}

function describeGroup({
  group,
  versions,
}: {
  group: string;
  versions: readonly string[];
}): object {
  const named = versions.map((version) => ({ groupVersion: `${group}/${version}`, version }));
  return { name: group, versions: named, preferredVersion: named[0] };
}

/** `/api/v1`, `/apis/G/V`: the resources of one group version. */
export function resourceList(kinds: KindRegistry, { group, version }: GroupVersion): object {
  const members = kinds.all().filter((kind) => kind.group === group && kind.version === version);
  if (members.length === 0) throw noSuchPath();
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: apiVersionOf({ group, version }),
    resources: members.flatMap(describeResources),
  };
}

function describeResources(kind: KindDefinition): object[] {
  const main = {
    name: kind.plural,
    singularName: kind.singular,
    namespaced: kind.namespaced,
    kind: kind.kind,
    verbs: kind.verbs,
    ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
    ...(kind.categories.length > 0 ? { categories: kind.categories } : {}),
  };
  const below = kind.subresources.map((subresource) => ({
    name: `${kind.plural}/${subresource.name}`,
    singularName: '',
    namespaced: kind.namespaced,
    kind: subresource.kind,
    verbs: subresource.verbs,
    ...(subresource.version === undefined
      ? {}
      : { group: subresource.group ?? '', version: subresource.version }),
  }));
  return [main, ...below];
}

/** The aggregated document of `/api` (core) or `/apis`, in v2 or v2beta1. */
export function aggregatedDiscovery(kinds: KindRegistry, core: boolean, version: string): object {
  const groups = kinds.groups().filter(({ group }) => (group === '') === core);
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map(({ group, versions }) => ({
      metadata: { ...(group === '' ? {} : { name: group }), creationTimestamp: null },
      versions: versions.map((entry) => ({
        version: entry,
        freshness: 'Current',
        resources: kinds
          .all()
          .filter((kind) => kind.group === group && kind.version === entry)
          .map(describeAggregated),
      })),
    })),
  };
}

function describeAggregated(kind: KindDefinition): object {
  const { group, version } = kind;
  return {
    resource: kind.plural,
    responseKind: { group, version, kind: kind.kind },
    scope: kind.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: kind.singular,
    verbs: kind.verbs,
    ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
    ...(kind.categories.length > 0 ? { categories: kind.categories } : {}),
    ...(kind.subresources.length > 0
      ? {
          subresources: kind.subresources.map((subresource) => ({
            subresource: subresource.name,
            responseKind: {
              group: subresource.group ?? group,
              version: subresource.version ?? version,
              kind: subresource.kind,
            },
            verbs: subresource.verbs,
          })),
        }
      : {}),
  };
}
