// One service of the demo shop: ROLE is web, cart, catalog or payments. HTTP on PORT (8080), and for those who keep a
// line open a raw TCP echo on TCP_PORT (9090).

import { Agent } from 'node:http';
import { run } from '../../../runtime/process.ts';
import { createTcpEcho } from '../echo/raw.ts';
import { listenOn } from '../listening.ts';
import { readPlace } from '../place.ts';
import { createShop, ROLES } from './trade.ts';

const place = readPlace(process.env);

run('shop', async ({ env, log, stop }) => {
  const role = env.oneOf('ROLE', ROLES, 'web');
  const port = env.integer('PORT', 8080, { min: 1, max: 65535 });
  const tcpPort = env.integer('TCP_PORT', 9090, { min: 1, max: 65535 });
  const domain = env.text('SHOP_DOMAIN', `${place.namespace}.svc.cluster.local`);
  const graceMs = env.durationMs('GRACE', 20_000);
  env.finish();
  const agent = new Agent({ keepAlive: true });
  const shop = await listenOn(
    createShop({ role, agent, urlOf: (other) => `http://${other}.${domain}:${port}` }),
    port,
  );
  const line = await listenOn(createTcpEcho(place), tcpPort);
  log.info('Open for business', { role, port });
  await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }));
  agent.destroy();
  await Promise.all([shop.close(graceMs), line.close(graceMs)]);
});
