// The waypoint's process: settings from the environment, a life until SIGTERM. Image `ambit-mesh/waypoint`.

import { liveUntil, run } from '../runtime/process.ts';
import { readWaypointConfig } from './config.ts';
import { connectWaypoint } from './connected.ts';

run('waypoint', async ({ env, log, clock, stop, quit }) => {
  const config = readWaypointConfig(env);
  await liveUntil(stop, () => connectWaypoint({ clock, log, quit }, config));
});
