// Redirects by routes of Services. Run by mesh.test.ts.

import { MESH } from './mesh-stage.ts';
import type { MeshTest } from './mesh-test.ts';
import { httpRoute, serviceParent } from './objects.ts';
import {
  HOST_AND_STATUS,
  PATHS,
  PORTS,
  type Redirect,
  redirectRows,
  redirectRules,
  SCHEMES,
  STATUSES,
} from './redirects.ts';

function redirectTest(name: string, front: string, redirects: readonly Redirect[]): MeshTest {
  return {
    name,
    fronts: { [front]: 'both' },
    routes: [
      httpRoute(MESH, front, {
        parentRefs: [serviceParent(front, 80)],
        rules: redirectRules(redirects),
      }),
    ],
    rows: redirectRows(front, redirects),
  };
}

export const REDIRECTS: readonly MeshTest[] = [
  redirectTest('MeshHTTPRouteRedirectHostAndStatus', 'redirect-host', HOST_AND_STATUS),
  redirectTest('MeshHTTPRouteRedirectPath', 'redirect-path', PATHS),
  redirectTest('MeshHTTPRouteRedirectPort', 'redirect-port', PORTS),
  redirectTest('MeshHTTPRouteSchemeRedirect', 'redirect-scheme', SCHEMES),
  redirectTest('MeshHTTPRoute303Redirect', 'redirect-303', [STATUSES[303]]),
  redirectTest('MeshHTTPRoute307Redirect', 'redirect-307', [STATUSES[307]]),
  redirectTest('MeshHTTPRoute308Redirect', 'redirect-308', [STATUSES[308]]),
];
