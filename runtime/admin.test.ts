// The doors: sharing a port between two processes, changing levels, quitting, profiles, formats.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { type AdminParts, startAdmin } from './admin.ts';
import { createLog } from './log.ts';
import { Metrics } from './metrics.ts';
import { Readiness } from './readiness.ts';

const DOOR = { host: '127.0.0.1', port: 0, shared: true };
const DOORS = { admin: DOOR, metrics: DOOR, ready: DOOR };

async function open(overrides: Partial<AdminParts> = {}, doors = DOORS) {
  const parts = {
    log: createLog({ component: 'test', write() {} }),
    metrics: new Metrics(),
    readiness: new Readiness(),
    ...overrides,
  };
  const admin = await startAdmin(parts, doors);
  return {
    ...parts,
    ports: admin.ports,
    url: `http://127.0.0.1:${admin.ports.admin}`,
    close: () => admin.close(),
    [Symbol.asyncDispose]: () => admin.close(),
  };
}

const post = { method: 'POST' };

describe('the admin doors', () => {
  test('of a new process open on the ports of the old one, and answer once the old one has closed', async () => {
    const quick = new Readiness();
    quick.blocker('old one leaving');
    await using old = await open({ readiness: quick });
    const port = (door: 'admin' | 'metrics' | 'ready') => ({ ...DOOR, port: old.ports[door] });
    await using young = await open(
      {},
      { admin: port('admin'), metrics: port('metrics'), ready: port('ready') },
    );
    assert.deepEqual(young.ports, old.ports);
    await old.close();
    const answer = await fetch(`http://127.0.0.1:${old.ports.ready}/healthz/ready`);
    assert.equal(await answer.text(), 'ready\n');
  });

  test('name the door whose port somebody else holds, and leave none open', async () => {
    const foreign = createServer().listen(0, '127.0.0.1');
    await once(foreign, 'listening');
    const { port } = foreign.address() as { port: number };
    const free = createServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    const first = (free.address() as { port: number }).port;
    free.close();
    await once(free, 'close');
    const doors = { ...DOORS, admin: { ...DOOR, port: first }, ready: { ...DOOR, port } };
    await assert.rejects(
      open({}, doors),
      new RegExp(`ready door at 127.0.0.1:${port}.*EADDRINUSE`),
    );
    await assert.rejects(fetch(`http://127.0.0.1:${first}/`));
    foreign.close();
  });

  test('tell blockers, what is done and details with ?verbose', async () => {
    const readiness = new Readiness();
    readiness.blocker('doors')();
    const release = readiness.blocker('first snapshot');
    readiness.detail('snapshot', () => 'from disk, 12 s old');
    await using admin = await open({ readiness });
    const verbose = `http://127.0.0.1:${admin.ports.ready}/healthz/ready?verbose`;
    assert.equal(
      await (await fetch(verbose)).text(),
      '[+] doors\n[-] first snapshot\n    snapshot: from disk, 12 s old\nnot ready, pending: first snapshot\n',
    );
    release();
    assert.match(await (await fetch(verbose)).text(), /\[\+\] first snapshot\n.*\nready\n$/);
  });

  test('list every page at the index', async () => {
    await using admin = await open();
    const index = await (await fetch(`${admin.url}/`)).text();
    for (const path of ['ready', 'metrics', 'logging', 'debug/pprof/profile']) {
      assert.match(index, new RegExp(`href="${path}"`));
    }
  });

  test('end the process by POST /quitquitquit only', async () => {
    const asked = Promise.withResolvers<string>();
    await using admin = await open({ quit: asked.resolve });
    const got = await fetch(`${admin.url}/quitquitquit`);
    assert.equal(got.status, 405);
    assert.equal(got.headers.get('allow'), 'POST');
    const posted = await fetch(`${admin.url}/quitquitquit`, post);
    assert.equal(await posted.text(), 'shutdown now\n');
    assert.equal(await asked.promise, '/quitquitquit');
  });

  test('do not offer /quitquitquit where nothing can be ended', async () => {
    await using admin = await open();
    assert.equal((await fetch(`${admin.url}/quitquitquit`, post)).status, 404);
  });

  test('answer a target that is no address with 400, and go on', async () => {
    await using admin = await open();
    const { connect } = await import('node:net');
    const socket = connect(admin.ports.admin, '127.0.0.1');
    socket.end('GET //[ HTTP/1.1\r\nhost: x\r\n\r\n');
    const [bytes] = await once(socket, 'data');
    assert.match(String(bytes), /^HTTP\/1.1 400 /);
    assert.equal((await fetch(`${admin.url}/ready`)).status, 200);
  });
});

describe('/logging', () => {
  test('changes all levels, one scope, and goes back', async () => {
    const lines: string[] = [];
    const log = createLog({ component: 'test', write: (line) => lines.push(line) });
    const access = log.child({ scope: 'access' });
    await using admin = await open({ log });
    const set = async (query: string): Promise<string> =>
      (await fetch(`${admin.url}/logging${query}`, post)).text();
    assert.equal(await set(''), 'current log level is info,access=info\n');
    assert.equal(await set('?level=access%3Ddebug'), 'current log level is info,access=debug\n');
    access.debug('seen');
    log.debug('not seen');
    assert.equal(lines.length, 1);
    assert.equal(await set('?level=off'), 'current log level is off,access=off\n');
    access.error('not seen');
    assert.equal(lines.length, 1);
    assert.equal(await set('?reset'), 'current log level is info,access=info\n');
  });

  for (const [query, status] of [
    ['?level=loud', 400],
    ['?level=access%3Dloud', 400],
    ['?level=nothing%3Ddebug', 400],
    ['?level=info,access%3D', 400],
  ] as const) {
    test(`refuses ${query} and changes nothing`, async () => {
      const log = createLog({ component: 'test', write() {} });
      log.child({ scope: 'access' });
      await using admin = await open({ log });
      const answer = await fetch(`${admin.url}/logging${query}`, post);
      assert.equal(answer.status, status);
      assert.match(await answer.text(), /usage:/);
      assert.equal(log.level(), 'info');
    });
  }

  test('is not changed by GET', async () => {
    await using admin = await open();
    assert.equal((await fetch(`${admin.url}/logging?level=debug`)).status, 405);
    assert.equal(admin.log.level(), 'info');
  });
});

describe('metrics', () => {
  test('come as OpenMetrics to a client that accepts it, counters named as it demands', async () => {
    const metrics = new Metrics();
    metrics.counter({ name: 'things_total', help: 'Things', labels: ['kind'] }).inc({ kind: 'a' });
    metrics.counter({ name: 'oddly_named', help: 'Odd' }).inc();
    metrics.gauge({ name: 'level', help: 'Level' }).set(3);
    await using admin = await open({ metrics });
    const answer = await fetch(`http://127.0.0.1:${admin.ports.metrics}/metrics`, {
      headers: { accept: 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5' },
    });
    assert.match(answer.headers.get('content-type') ?? '', /^application\/openmetrics-text/);
    assert.equal(
      await answer.text(),
      [
        '# HELP things Things',
        '# TYPE things counter',
        'things_total{kind="a"} 1',
        '# HELP oddly_named Odd',
        '# TYPE oddly_named unknown',
        'oddly_named 1',
        '# HELP level Level',
        '# TYPE level gauge',
        'level 3',
        '# EOF',
        '',
      ].join('\n'),
    );
  });

  test('are compressed for a client that reads gzip, and only then', async () => {
    const metrics = new Metrics();
    const counter = metrics.counter({ name: 'things_total', help: 'Things', labels: ['kind'] });
    for (let i = 0; i < 100; i++) counter.inc({ kind: `kind-${i}` });
    await using admin = await open({ metrics });
    const { get } = await import('node:http');
    const raw = (encoding: string): Promise<{ encoding: string | undefined; body: Buffer }> =>
      new Promise((resolve, reject) => {
        const options = {
          port: admin.ports.metrics,
          path: '/metrics',
          headers: { 'accept-encoding': encoding },
        };
        get(options, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () =>
            resolve({
              encoding: response.headers['content-encoding'],
              body: Buffer.concat(chunks),
            }),
          );
        }).on('error', reject);
      });
    const plain = await raw('br, gzip;q=0');
    assert.equal(plain.encoding, undefined);
    const packed = await raw('br;q=1, gzip;q=0.8');
    assert.equal(packed.encoding, 'gzip');
    assert.deepEqual(gunzipSync(packed.body), plain.body);
  });
});

describe('profiles', () => {
  test('of CPU and heap are V8’s own JSON, one at a time', async () => {
    await using admin = await open();
    const first = fetch(`${admin.url}/debug/pprof/profile?seconds=1&frequency=1000`);
    // the second asks while the first runs: only one may
    const second = fetch(`${admin.url}/debug/pprof/profile?seconds=1`);
    const answers = await Promise.all([first, second]);
    assert.deepEqual(
      answers.map(({ status }) => status).toSorted((a, b) => a - b),
      [200, 409],
    );
    const done = answers.find(({ status }) => status === 200);
    const profile = (await done?.json()) as { nodes: unknown[]; samples: unknown[] };
    assert.ok(profile.nodes.length > 0 && profile.samples.length > 0);
    const heap = (await (await fetch(`${admin.url}/debug/pprof/heap?seconds=1`)).json()) as {
      head: { callFrame: object };
    };
    assert.ok(heap.head.callFrame);
  });

  for (const query of ['seconds=0', 'seconds=301', 'seconds=x', 'seconds=1&frequency=1001']) {
    test(`refuse ${query}`, async () => {
      await using admin = await open();
      const answer = await fetch(`${admin.url}/debug/pprof/profile?${query}`);
      assert.equal(answer.status, 400);
    });
  }

  test('end with the client that asked for them, and leave room for the next', async () => {
    await using admin = await open();
    const impatient = new AbortController();
    const url = `${admin.url}/debug/pprof/profile`;
    const asked = fetch(`${url}?seconds=300`, { signal: impatient.signal });
    const isBusy = async (): Promise<boolean> => (await fetch(`${url}?seconds=1`)).status === 409;
    while (!(await isBusy())) {
      // the first request has not arrived yet, and this one was taken instead
    }
    impatient.abort();
    await assert.rejects(asked);
    while (await isBusy()) {
      // the server learns of the hang-up by an event of its own
    }
  });
});
