// A rate limit that two waypoints share by a real Redis, which they reach like any service of the mesh.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { serviceKey } from '../mesh/service.ts';
import { Rig } from './test-rig.ts';

const installed = spawnSync('redis-server', ['--version']).status === 0;
if (!installed) {
  process.stderr.write(`SKIPPED ${import.meta.filename}: redis-server is not installed\n`);
}

describe('a rate limit of several waypoints', { skip: !installed }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-shared-limit-'));
  const path = join(folder, 'redis.sock');
  let redis: ChildProcess;
  const rigs: Rig[] = [];

  before(async () => {
    redis = spawn(
      'redis-server',
      ['--port', '0', '--unixsocket', path, '--save', '', '--dir', folder],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    for await (const line of redis.stdout ?? []) if (/ready to accept/i.test(String(line))) break;
    rigs.push(await Rig.open(), await Rig.open());
  });
  after(async () => {
    for (const rig of rigs) await rig.close();
    redis.kill('SIGKILL');
    await once(redis, 'exit');
    rmSync(folder, { recursive: true });
  });

  test('counts the requests of all of them together', async () => {
    const services = [];
    for (const rig of rigs) {
      const counter = rig.service('redis', 'tcp');
      const door = createServer((socket) => {
        const upstream = connect(path);
        socket.pipe(upstream).pipe(socket);
        for (const one of [socket, upstream]) one.on('error', () => socket.destroy());
      });
      await rig.endpoint(counter, 'redis-1', door);
      const web = rig.service('web');
      await rig.http(web, 'web-1', (_, response) => void response.end('in'));
      const limit = {
        redis: { service: serviceKey(counter), port: 80 },
        requests: 4,
        perMs: 3_600_000,
        key: { by: 'route' },
        onFailure: 'deny',
        timeoutMs: 5000,
      } as const;
      rig.policy(web, { rateLimits: { local: [], global: [limit] } });
      services.push({ rig, web });
    }
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) {
      for (const { rig, web } of services) statuses.push((await rig.ask(web)).status);
    }
    assert.deepEqual(statuses, [200, 200, 200, 200, 429, 429]);
  });
});
