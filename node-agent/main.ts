// The node agent's process: settings from the environment, a life until SIGTERM. Image `ambit-mesh/node-agent`.

import { run } from '../runtime/process.ts';
import { readAgentConfig } from './config.ts';
import { connectAgent } from './connected.ts';

run('node-agent', async ({ env, log, clock, stop, quit }) => {
  const agent = await connectAgent({ clock, log, quit }, readAgentConfig(env));
  await new Promise<void>((resolve) => {
    if (stop.aborted) resolve();
    else stop.addEventListener('abort', () => resolve(), { once: true });
  });
  await agent.stop();
});
