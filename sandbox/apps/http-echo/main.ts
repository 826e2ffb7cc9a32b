// The HTTP echo app, for those who test what stands between a client and a server: it answers each request with the
// request as it came. HTTP/1.1, h2c and gRPC on each of HTTP_PORTS (8080), h2c alone on each of H2C_PORTS (7070), raw TCP
// on TCP_PORT (9090), HTTPS on TLS_PORT (8443) with TLS_CERT_FILE and TLS_KEY_FILE. 0 or an empty list leaves one out.
// Each answered request is a line of the log. Ends politely at SIGTERM, within GRACE (20 s).

import { readFile } from 'node:fs/promises';
import { run } from '../../../runtime/process.ts';
import { createTcpEcho } from '../echo/raw.ts';
import { listenOn } from '../listening.ts';
import { readPlace } from '../place.ts';
import { type EchoParts, serveBoth, serveH2c, serveTls } from './serve.ts';
import { Tries } from './tries.ts';

const place = readPlace(process.env);

run('http-echo', async ({ env, log, clock, stop }) => {
  const httpPorts = env.parsed('HTTP_PORTS', portList, [8080]);
  const h2cPorts = env.parsed('H2C_PORTS', portList, [7070]);
  const tcpPort = env.integer('TCP_PORT', 9090, { max: 65535 });
  const tlsPort = env.integer('TLS_PORT', 8443, { max: 65535 });
  const certFile = env.optional('TLS_CERT_FILE');
  const keyFile = env.optional('TLS_KEY_FILE');
  const graceMs = env.durationMs('GRACE', 20_000);
  env.finish();
  const parts: EchoParts = {
    place,
    tries: new Tries(),
    onEcho: ({ method, path, host, proto, peer }, status) =>
      log.info('Echoed', { method, path, host, proto, peer, status }),
    sleep: (ms) => clock.sleep(ms, stop).catch(() => {}),
    chance: Math.random,
  };
  const servers = await Promise.all([
    ...httpPorts.map((port) => listenOn(serveBoth(parts), port)),
    ...h2cPorts.map((port) => listenOn(serveH2c(parts), port)),
    ...(tcpPort === 0 ? [] : [listenOn(createTcpEcho(place), tcpPort)]),
  ]);
  if (certFile !== undefined && keyFile !== undefined && tlsPort !== 0) {
    const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
    servers.push(await listenOn(serveTls(parts, { cert, key }), tlsPort));
  }
  log.info('Echoing', { ...place, httpPorts, h2cPorts, tcpPort });
  await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }));
  await Promise.all(servers.map((server) => server.close(graceMs)));
});

function portList(text: string): number[] {
  const ports = text.split(',').map((part) => part.trim());
  if (ports.every((port) => port === '0')) return [];
  for (const port of ports) {
    if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) {
      throw new Error(`"${port}" is no port; write numbers up to 65535, separated by commas`);
    }
  }
  return ports.map(Number);
}
