// The control plane's process: settings from the environment, a life until SIGTERM. Image `ambit-mesh/control-plane`.

import { connectKubernetes } from '../runtime/kubernetes/client.ts';
import { run } from '../runtime/process.ts';
import { startControlPlane } from './app.ts';
import { readControlPlaneConfig } from './config.ts';

run('control-plane', async ({ env, log, clock, stop }) => {
  const config = readControlPlaneConfig(env);
  const client = await connectKubernetes(config.kubernetes);
  let controlPlane: Awaited<ReturnType<typeof startControlPlane>>;
  try {
    controlPlane = await startControlPlane({ client, clock, log }, config, stop);
  } catch (error) {
    // asked to stop while still starting: that is no failure
    if (stop.aborted) return;
    throw error;
  }
  await new Promise<void>((resolve) => {
    stop.addEventListener('abort', () => resolve(), { once: true });
    if (stop.aborted) resolve();
  });
  await controlPlane.close();
});
