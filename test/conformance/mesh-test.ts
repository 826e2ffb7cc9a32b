// A mesh test as a value: Services of its own in front of the echoes, routes on them, and what requests come to. Each file
// mesh-*.ts has a list of them; mesh.test.ts runs them side by side, which their own Services make possible.

import type { Row } from './expectation.ts';
import type { MeshStage } from './mesh-stage.ts';
import { openFront } from './mesh-stage.ts';
import type { RouteObject, Version } from './objects.ts';
import { expectRows, expectShares } from './requests.ts';
import type { Verdicts } from './route-status.ts';
import { attach } from './routes.ts';
import type { Shares } from './shares.ts';

export type MeshTest = {
  /** The suite's own, where it has the test. */
  readonly name: string;
  /** Services to make, by name. */
  readonly fronts: Readonly<Record<string, Version>>;
  readonly routes: readonly RouteObject[];
  /** Of the routes; all is well when left out. */
  readonly verdicts?: Verdicts;
  readonly rows: readonly Row[] | ((stage: MeshStage) => readonly Row[]);
  /** How 500 requests of the first row are shared. */
  readonly shares?: Shares;
};

export async function runMeshTest(stage: MeshStage, mesh: MeshTest): Promise<void> {
  const { fronts, routes, verdicts, shares } = mesh;
  for (const [name, version] of Object.entries(fronts)) await openFront(stage, name, version);
  await attach(stage.sandbox, routes, verdicts);
  const rows = typeof mesh.rows === 'function' ? mesh.rows(stage) : mesh.rows;
  await expectRows(stage, rows);
  const [first] = rows;
  if (shares !== undefined && first !== undefined) await expectShares(stage, first, shares);
}
