// `npm run bench`: each scenario measures the same work directly and through the mesh's own code, in turn, in this one
// process, and prints the ratio. Absolute figures of a noisy machine mean little; see README.md.

import type { Run } from './scenario.ts';
import { tunnelScenarios } from './scenarios/tunnel.ts';
import { waypointScenarios } from './scenarios/waypoint.ts';

const ROUNDS = 5;

for (const open of [...tunnelScenarios, ...waypointScenarios]) {
  const scenario = await open();
  const direct: number[] = [];
  const mesh: number[] = [];
  await scenario.direct();
  await scenario.mesh();
  for (let round = 0; round < ROUNDS; round++) {
    direct.push(await cpuOf(scenario.direct));
    mesh.push(await cpuOf(scenario.mesh));
  }
  await scenario.close();
  const ratio = median(mesh.map((value, index) => value / (direct[index] ?? value)));
  const per = (values: number[]): string =>
    `${((median(values) * 1000) / scenario.amount).toFixed(2)} µs`;
  process.stdout.write(
    `${scenario.name}: CPU per ${scenario.unit}: direct ${per(direct)}, through the mesh ${per(mesh)}, ratio ${ratio.toFixed(2)}\n`,
  );
}

/** CPU milliseconds, user and system, of all threads of this process. */
async function cpuOf(run: Run): Promise<number> {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
