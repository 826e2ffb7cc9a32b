// The control plane's process: settings from the environment, a life until SIGTERM. Image `ambit-mesh/control-plane`.

import { connectKubernetes } from '../runtime/kubernetes/client.ts';
import { liveUntil, run } from '../runtime/process.ts';
import { startControlPlane } from './app.ts';
import { readControlPlaneConfig } from './config.ts';

run('control-plane', async ({ env, log, clock, stop }) => {
  const config = readControlPlaneConfig(env);
  const client = await connectKubernetes(config.kubernetes);
  await liveUntil(stop, () => startControlPlane({ client, clock, log }, config, stop));
});
