// Routes that come, change and go, which the Gateway API's suite leaves to the order of its tests: what holds follows, and
// nothing of what was is left. Run by mesh.test.ts.

import { HTTP_ROUTES } from '../../runtime/kubernetes/resources.ts';
import { MESH, type MeshStage, openFront } from './mesh-stage.ts';
import { httpRoute, prefix, serviceParent } from './objects.ts';
import { expectRows } from './requests.ts';
import { ALL_IS_WELL } from './route-status.ts';
import { attach, detach, expectStatus } from './routes.ts';

type LifeTest = { readonly name: string; readonly run: (stage: MeshStage) => Promise<void> };

const UNRESOLVED = { accepted: 'True', resolvedRefs: 'False/BackendNotFound' } as const;

export const MESH_LIFE: readonly LifeTest[] = [
  {
    name: 'a route that is changed holds as it is now, and one that is gone holds no more',
    async run(stage) {
      const { sandbox } = stage;
      await openFront(stage, 'changing', 'v2');
      const rules = (path: string, version: string): object[] => [
        { matches: [prefix(path)], backendRefs: [{ name: `echo-${version}`, port: 80 }] },
      ];
      const route = httpRoute(MESH, 'changing', {
        parentRefs: [serviceParent('changing', 80)],
        rules: rules('/a', 'v1'),
      });
      await expectRows(stage, [{ url: 'http://changing/a', backend: 'echo-v2' }]);
      await attach(sandbox, [route]);
      await expectRows(stage, [
        { url: 'http://changing/a', backend: 'echo-v1' },
        { url: 'http://changing/b', status: 404 },
      ]);
      await sandbox.client.patch(HTTP_ROUTES, 'changing', MESH, {
        spec: { rules: rules('/b', 'v1') },
      });
      const name = { resource: HTTP_ROUTES, namespace: MESH, name: 'changing' };
      await expectStatus(sandbox, name, ALL_IS_WELL);
      await expectRows(stage, [
        { url: 'http://changing/a', status: 404 },
        { url: 'http://changing/b', backend: 'echo-v1' },
      ]);
      await detach(sandbox, [route]);
      await expectRows(stage, [
        { url: 'http://changing/a', backend: 'echo-v2' },
        { url: 'http://changing/b', backend: 'echo-v2' },
      ]);
    },
  },
  {
    name: 'a backend that is missing fails its own requests only, and serves once it is there',
    async run(stage) {
      const { sandbox } = stage;
      await openFront(stage, 'missing', 'both');
      const route = httpRoute(MESH, 'missing', {
        parentRefs: [serviceParent('missing', 80)],
        rules: [
          { matches: [prefix('/late')], backendRefs: [{ name: 'late', port: 80 }] },
          { matches: [prefix('/none')] },
          { matches: [prefix('/')], backendRefs: [{ name: 'echo-v1', port: 80 }] },
        ],
      });
      await attach(sandbox, [route], UNRESOLVED);
      await expectRows(stage, [
        { url: 'http://missing/late', status: 500 },
        { url: 'http://missing/none', status: 500 },
        { url: 'http://missing/', backend: 'echo-v1' },
      ]);
      await openFront(stage, 'late', 'v2');
      const name = { resource: HTTP_ROUTES, namespace: MESH, name: 'missing' };
      await expectStatus(sandbox, name, ALL_IS_WELL);
      await expectRows(stage, [{ url: 'http://missing/late', backend: 'echo-v2' }]);
    },
  },
];
