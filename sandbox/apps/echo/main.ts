// The echo app: HTTP/1.1, h2c, gRPC and WebSocket on PORT (8080), raw TCP on TCP_PORT (9090), UDP on UDP_PORT (9091);
// 0 leaves one out. Ends politely at SIGTERM, within GRACE (20 s).

import { run } from '../../../runtime/process.ts';
import { listenOn } from '../listening.ts';
import { readPlace } from '../place.ts';
import { createHttpEcho } from './http.ts';
import { createTcpEcho, openUdpEcho } from './raw.ts';

const place = readPlace(process.env);

run('echo', async ({ env, log, stop }) => {
  const ports = {
    http: env.integer('PORT', 8080, { max: 65535 }),
    tcp: env.integer('TCP_PORT', 9090, { max: 65535 }),
    udp: env.integer('UDP_PORT', 9091, { max: 65535 }),
  };
  const graceMs = env.durationMs('GRACE', 20_000);
  env.finish();
  const servers = [
    ...(ports.http === 0 ? [] : [await listenOn(createHttpEcho(place), ports.http)]),
    ...(ports.tcp === 0 ? [] : [await listenOn(createTcpEcho(place), ports.tcp)]),
  ];
  const udp = ports.udp === 0 ? undefined : await openUdpEcho(place, ports.udp);
  log.info('Echoing', { ...place, ...ports });
  await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }));
  udp?.close();
  await Promise.all(servers.map((server) => server.close(graceMs)));
});
