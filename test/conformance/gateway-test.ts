// A gateway test as a value: objects it needs, routes, their statuses, and what requests through a Gateway come to. Each
// file gateway-*.ts has a list of them; gateway.test.ts runs them side by side.

import type { Resource } from '../../runtime/kubernetes/resources.ts';
import { type GatewayRow, type GatewayStage, through } from './gateway-stage.ts';
import type { Object, RouteObject } from './objects.ts';
import { expectRows, expectShares } from './requests.ts';
import type { Verdicts } from './route-status.ts';
import { attach } from './routes.ts';
import type { Shares } from './shares.ts';

export type Needed = readonly (readonly [resource: Resource, object: Object])[];

export type GatewayTest = {
  /** The suite's own, where it has the test. */
  readonly name: string;
  readonly needs?: Needed | ((stage: GatewayStage) => Needed);
  readonly routes: readonly RouteObject[];
  /** Of every parent of every route, or of each parent; all is well when left out. */
  readonly verdicts?: Verdicts | readonly Verdicts[];
  readonly rows: readonly GatewayRow[];
  /** How 500 requests of the first row are shared. */
  readonly shares?: Shares;
  /** What follows. */
  readonly afterwards?: (stage: GatewayStage) => Promise<void>;
};

export async function runGatewayTest(stage: GatewayStage, one: GatewayTest): Promise<void> {
  const { needs = [], routes, verdicts, shares } = one;
  for (const [resource, object] of typeof needs === 'function' ? needs(stage) : needs) {
    await stage.sandbox.client.create(resource, object);
  }
  await attach(stage.sandbox, routes, verdicts);
  await expectThrough(stage, one.rows);
  const [first] = one.rows;
  if (shares !== undefined && first !== undefined) {
    await expectShares(stage, through(stage, first), shares);
  }
  await one.afterwards?.(stage);
}

export function expectThrough(stage: GatewayStage, rows: readonly GatewayRow[]): Promise<void> {
  return expectRows(
    stage,
    rows.map((row) => through(stage, row)),
  );
}
