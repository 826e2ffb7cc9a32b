// The node agent's process: settings from the environment, a life until SIGTERM. Image `ambit-mesh/node-agent`.

import { aborted } from '../runtime/aborted.ts';
import { run } from '../runtime/process.ts';
import { readAgentConfig } from './config.ts';
import { connectAgent } from './connected.ts';

run('node-agent', async ({ env, log, clock, stop, quit }) => {
  const agent = await connectAgent({ clock, log, quit }, readAgentConfig(env));
  await aborted(stop);
  await agent.stop();
});
