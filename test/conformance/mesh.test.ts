// The mesh tests of the Gateway API's conformance suite (profiles MESH-HTTP and MESH-GRPC and those no profile counts),
// in our own words and stricter: paths, hosts, Locations and statuses are compared as well. All share one cluster; each has
// Services of its own, so that they run side by side.

import { before, describe, test } from 'node:test';
import { sandboxSuite } from '../support/sandbox.ts';
import { INTEROP } from './interop.ts';
import { FILTERS } from './mesh-filters.ts';
import { FRONTENDS } from './mesh-frontends.ts';
import { MESH_LIFE } from './mesh-life.ts';
import { MATCHING } from './mesh-matching.ts';
import { REDIRECTS } from './mesh-redirects.ts';
import { type MeshStage, openMeshStage } from './mesh-stage.ts';
import { type MeshTest, runMeshTest } from './mesh-test.ts';
import { WEIGHTS } from './mesh-weights.ts';

// more would only wait for the two cores of a small machine
const AT_ONCE = 4;

const THEMES: Readonly<Record<string, readonly MeshTest[]>> = {
  frontends: FRONTENDS,
  matching: MATCHING,
  filters: FILTERS,
  redirects: REDIRECTS,
};

sandboxSuite('Gateway API: mesh', (sandbox) => {
  let stage: MeshStage;
  before(async () => {
    stage = await openMeshStage(sandbox());
  });

  describe('side by side', { concurrency: AT_ONCE }, () => {
    for (const [theme, tests] of Object.entries(THEMES)) {
      for (const one of tests) test(`${theme}: ${one.name}`, () => runMeshTest(stage, one));
    }
    for (const { name, run } of INTEROP) test(`applications: ${name}`, () => run(stage));
  });

  // 500 requests at once are best alone
  describe('one after the other', () => {
    for (const one of WEIGHTS) test(`weights: ${one.name}`, () => runMeshTest(stage, one));
    for (const { name, run } of MESH_LIFE) test(`life: ${name}`, () => run(stage));
  });
});
