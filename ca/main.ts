// The CA's process: settings from the environment, a life until SIGTERM. Image `ambit-mesh/ca`.

import { connectKubernetes } from '../runtime/kubernetes/client.ts';
import { run } from '../runtime/process.ts';
import { startCa } from './app.ts';
import { readCaConfig } from './config.ts';

run('ca', async ({ env, log, clock, stop }) => {
  const config = readCaConfig(env);
  const client = await connectKubernetes(config.kubernetes);
  let ca: Awaited<ReturnType<typeof startCa>>;
  try {
    ca = await startCa({ client, clock, log }, config, stop);
  } catch (error) {
    // asked to stop while still starting: that is no failure
    if (stop.aborted) return;
    throw error;
  }
  await new Promise<void>((resolve) => {
    stop.addEventListener('abort', () => resolve(), { once: true });
    if (stop.aborted) resolve();
  });
  await ca.close();
});
