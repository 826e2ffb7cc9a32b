// The load generator: HTTP requests to URL at RATE a second, each on a new connection, as many again on KEPT connections
// where that is not 0, and CONNECTIONS long-lived TCP connections to LINE_HOST:LINE_PORT, each living LIFETIME. A request
// that breaks is asked again RETRIES times. With EXPECT, an echo of another namespace than that is a wrong answer. Prints a
// line of JSON each second, and serves the same at /stats on STATS_PORT (8081).

import { createServer } from 'node:http';
import { run } from '../../../runtime/process.ts';
import { listenOn } from '../listening.ts';
import { keepLines, pause } from './connections.ts';
import { keepAsking } from './requests.ts';
import { newTally } from './tally.ts';

const PROGRESS_MS = 1000;

run('load', async ({ env, stop }) => {
  const url = env.optional('URL');
  const perSecond = env.integer('RATE', 10, { min: 1, max: 1000 });
  const line = {
    host: env.text('LINE_HOST', ''),
    port: env.integer('LINE_PORT', 9090, { min: 1, max: 65535 }),
    count: env.integer('CONNECTIONS', 0, { max: 10_000 }),
    lifetimeMs: env.durationMs('LIFETIME', 0),
    intervalMs: env.durationMs('INTERVAL', 200),
  };
  const expect = env.optional('EXPECT');
  const kept = env.integer('KEPT', 0, { max: 1000 });
  const retries = env.integer('RETRIES', 0, { max: 10 });
  const statsPort = env.integer('STATS_PORT', 8081, { max: 65535 });
  const ways = kept === 0 ? [0] : [0, kept];
  env.finish();
  const tally = newTally();
  const stats = await listenOn(
    createServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(`${JSON.stringify(tally)}\n`);
    }),
    statsPort,
  );
  const progress = async (): Promise<void> => {
    while (!stop.aborted) {
      await pause(PROGRESS_MS, stop);
      const { faults: _, ...counts } = tally;
      process.stdout.write(`${JSON.stringify(counts)}\n`);
    }
  };
  await Promise.all([
    progress(),
    ...(url === undefined
      ? []
      : ways.map((way) => keepAsking(tally, { url, perSecond, expect, kept: way, retries }, stop))),
    line.host === '' ? undefined : keepLines(tally, line, stop),
  ]);
  await stats.close(0);
  process.stdout.write(`${JSON.stringify(tally)}\n`);
});
