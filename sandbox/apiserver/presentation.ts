// temporary
import type { KindDefinition } from './kinds.ts';
import type { KubeObject } from './object.ts';
export const encodeKubernetesProtobuf = (_o: KubeObject): Buffer | undefined => undefined;
export const decodeKubernetesProtobuf = (_b: Buffer): KubeObject => {
  throw new Error('not yet');
};
export const toTable = (
  _k: KindDefinition,
  objects: KubeObject[],
  listMeta: object,
  _now: number,
  _i: string,
): object => ({
  kind: 'Table',
  apiVersion: 'meta.k8s.io/v1',
  metadata: listMeta,
  columnDefinitions: [
    { name: 'Name', type: 'string', format: 'name', description: '', priority: 0 },
  ],
  rows: objects.map((o) => ({
    cells: [o.metadata.name],
    object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: o.metadata },
  })),
});
export const openApiV2 = (_k: readonly KindDefinition[]): object => ({
  swagger: '2.0',
  info: { title: 'x', version: 'v1' },
  paths: {},
  definitions: {},
});
export const openApiV3Root = (k: readonly KindDefinition[]): object => ({
  paths: Object.fromEntries(
    k.map((x) => {
      const p = x.group === '' ? `api/${x.version}` : `apis/${x.group}/${x.version}`;
      return [p, { serverRelativeURL: `/openapi/v3/${p}?hash=x` }];
    }),
  ),
});
export const openApiV3Group = (k: readonly KindDefinition[], gv: string): object => ({
  openapi: '3.0.0',
  info: { title: 'x', version: 'v1' },
  paths: Object.fromEntries(
    k
      .filter((x) => (x.group === '' ? x.version : `${x.group}/${x.version}`) === gv)
      .map((x) => [
        `/${x.plural}/{name}`,
        {
          patch: {
            'x-kubernetes-action': 'patch',
            'x-kubernetes-group-version-kind': { group: x.group, version: x.version, kind: x.kind },
            parameters: [
              { name: 'fieldValidation', in: 'query', schema: { type: 'string' } },
              { name: 'dryRun', in: 'query', schema: { type: 'string' } },
            ],
            responses: {},
          },
        },
      ]),
  ),
  components: { schemas: {} },
});
