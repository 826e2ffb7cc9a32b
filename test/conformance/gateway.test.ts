// The tests of Gateways of the Gateway API's conformance suite (core of profile GATEWAY-HTTP, and some of what is extended),
// in our own words and stricter. All share one cluster and two Gateways; each has host names of its own, so that they run
// side by side. They ask from a pod outside the mesh.

import { before, describe, test } from 'node:test';
import { sandboxSuite } from '../support/sandbox.ts';
import { GATEWAY_LIFE } from './gateway-life.ts';
import { GATEWAY_MATCHING } from './gateway-matching.ts';
import { GATEWAY_OBJECTS } from './gateway-objects.ts';
import { GATEWAY_PARENTS } from './gateway-parents.ts';
import { GATEWAY_REFERENCES } from './gateway-references.ts';
import { type GatewayStage, openGatewayStage } from './gateway-stage.ts';
import { type GatewayTest, runGatewayTest } from './gateway-test.ts';
import { GATEWAY_TLS } from './gateway-tls.ts';
import { GATEWAY_WAYPOINT } from './gateway-waypoint.ts';

// more would only wait for the two cores of a small machine
const AT_ONCE = 4;

const THEMES: Readonly<Record<string, readonly GatewayTest[]>> = {
  matching: GATEWAY_MATCHING,
  parents: GATEWAY_PARENTS,
  references: GATEWAY_REFERENCES,
  'TLS and TCP': GATEWAY_TLS,
  waypoints: GATEWAY_WAYPOINT,
};

sandboxSuite('Gateway API: gateways', (sandbox) => {
  let stage: GatewayStage;
  before(async () => {
    stage = await openGatewayStage(sandbox());
  });

  describe('side by side', { concurrency: AT_ONCE }, () => {
    for (const [theme, tests] of Object.entries(THEMES)) {
      for (const one of tests) test(`${theme}: ${one.name}`, () => runGatewayTest(stage, one));
    }
    for (const { name, run } of GATEWAY_OBJECTS) test(`objects: ${name}`, () => run(stage));
  });

  // under load of its own
  describe('one after the other', () => {
    for (const { name, run } of GATEWAY_LIFE) test(`life: ${name}`, () => run(stage));
  });
});
