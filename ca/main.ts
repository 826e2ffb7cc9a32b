// The CA's process: settings from the environment, a life until SIGTERM. Image `ambit-mesh/ca`.

import { connectKubernetes } from '../runtime/kubernetes/client.ts';
import { liveUntil, run } from '../runtime/process.ts';
import { startCa } from './app.ts';
import { readCaConfig } from './config.ts';

run('ca', async ({ env, log, clock, stop }) => {
  const config = readCaConfig(env);
  const client = await connectKubernetes(config.kubernetes);
  await liveUntil(stop, () => startCa({ client, clock, log }, config, stop));
});
