import assert from 'node:assert/strict';
import { get, request } from 'node:http';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MeshError } from '../mesh/failures.ts';
import { startAdmin } from './admin.ts';
import { backoff } from './backoff.ts';
import { ConfigError, SettingsReader } from './env.ts';
import { createLog, silentLog } from './log.ts';
import { ManualClock } from './manual-clock.ts';
import { Metrics } from './metrics.ts';
import { Readiness } from './readiness.ts';
import { nodeTooOld } from './version.ts';

describe('nodeTooOld()', () => {
  test('names the version that is needed, and lets newer ones pass', () => {
    assert.match(nodeTooOld('20.20.2') ?? '', /Cannot run on Node.js 20.20.2: version 24/);
    assert.equal(nodeTooOld('24.0.0'), undefined);
    assert.equal(nodeTooOld('26.1.0'), undefined);
  });
});

describe('SettingsReader', () => {
  test('names every wrong setting at once', () => {
    const env = new SettingsReader({ A: 'x', B: '7 parsecs', C: 'maybe', D: 'purple' });
    env.integer('A', 1);
    env.durationMs('B', 1);
    env.flag('C', true);
    env.oneOf('D', ['red', 'green'], 'red');
    env.text('E');
    assert.throws(
      () => env.finish(),
      (error) =>
        error instanceof ConfigError &&
        ['A', 'B', 'C', 'D', 'E'].every((name) => error.message.includes(`${name} is`)),
    );
  });

  test('an empty variable counts as not set', () => {
    const env = new SettingsReader({ A: '' });
    assert.equal(env.text('A', 'fallback'), 'fallback');
    env.finish();
  });

  for (const [text, ms] of [
    ['250ms', 250],
    ['1.5s', 1500],
    ['5m', 300_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
  ] as const) {
    test(`reads the duration ${text}`, () => {
      assert.equal(new SettingsReader({ A: text }).durationMs('A', 1), ms);
    });
  }

  test('a whole number outside its range is a problem and the default is used meanwhile', () => {
    const env = new SettingsReader({ PORT: '70000' });
    assert.equal(env.integer('PORT', 80, { min: 1, max: 65535 }), 80);
    assert.throws(() => env.finish(), /from 1 to 65535/);
  });
});

describe('backoff()', () => {
  test('grows by its factor up to its bound and starts small again after reset', () => {
    const wait = backoff({ initialMs: 10, maxMs: 50, jitter: 0 });
    assert.deepEqual(
      [wait.next(), wait.next(), wait.next(), wait.next(), wait.next()],
      [10, 20, 40, 50, 50],
    );
    wait.reset();
    assert.equal(wait.next(), 10);
  });

  test('with full jitter draws from its least wait up to a bound that grows', () => {
    const settings = { initialMs: 20, maxMs: 100, minMs: 10, jitter: 'full' } as const;
    const draws = (random: number): number[] => {
      const wait = backoff(settings, () => random);
      return [wait.next(), wait.next(), wait.next(), wait.next()];
    };
    assert.deepEqual(draws(0), [10, 10, 10, 10]);
    assert.deepEqual(draws(0.5), [15, 25, 45, 55]);
    assert.deepEqual(draws(1), [20, 40, 80, 100]);
  });

  test('never waits longer than its bound, whatever the jitter', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 20 }),
        (r, steps) => {
          const wait = backoff({ initialMs: 10, maxMs: 1000, jitter: 0.5 }, () => r);
          for (let i = 0; i < steps; i++) {
            const ms = wait.next();
            assert.ok(ms >= 0 && ms <= 1000);
          }
        },
      ),
    );
  });
});

describe('ManualClock', () => {
  test('runs timers in the order they come due', async () => {
    const clock = new ManualClock();
    const order: string[] = [];
    clock.timer(20, () => order.push('b'));
    clock.timer(10, () => order.push('a'));
    const cancelled = clock.timer(15, () => order.push('never'));
    cancelled.cancel();
    await clock.advance(19);
    assert.deepEqual(order, ['a']);
    await clock.advance(1);
    assert.deepEqual(order, ['a', 'b']);
  });

  test('an aborted sleep rejects with the reason and leaves nothing waiting', async () => {
    const clock = new ManualClock();
    const stop = new AbortController();
    const slept = clock.sleep(1000, stop.signal);
    stop.abort(new Error('enough'));
    await assert.rejects(slept, /enough/);
    assert.equal(clock.pending(), 0);
  });
});

describe('createLog()', () => {
  test('writes one JSON object a line, with the error code and its causes', () => {
    const lines: string[] = [];
    const log = createLog({ component: 'x', write: (line) => lines.push(line) });
    const error = new MeshError('TLS_FAILURE', 'no', { cause: new Error('why') });
    log.child({ pod: 'a' }).warn('Cannot', { error });
    assert.equal(lines.length, 1);
    const { time, ...line } = JSON.parse(lines[0]!) as Record<string, unknown>;
    assert.match(String(time), /^\d{4}-/);
    assert.deepEqual(line, {
      level: 'warn',
      component: 'x',
      pod: 'a',
      error: { message: 'no', code: 'TLS_FAILURE', causes: ['why'] },
      message: 'Cannot',
    });
  });

  test('says nothing below its level, and more once the level is lowered', () => {
    const lines: string[] = [];
    const log = createLog({ component: 'x', write: (line) => lines.push(line) });
    log.debug('quiet');
    log.setLevel('debug');
    log.debug('loud');
    assert.equal(lines.length, 1);
  });
});

describe('startAdmin()', () => {
  test('readiness names its blockers until the last is released', async () => {
    const readiness = new Readiness();
    const release = [readiness.blocker('first snapshot'), readiness.blocker('enrolments')];
    await using doors = await open(readiness);
    assert.deepEqual(await read(doors.ports.ready, '/healthz/ready'), {
      status: 500,
      body: 'not ready, pending: first snapshot, enrolments\n',
    });
    for (const one of release) one();
    assert.deepEqual(await read(doors.ports.ready, '/healthz/ready'), {
      status: 200,
      body: 'ready\n',
    });
    assert.equal((await read(doors.ports.ready, '/healthz/ready', 'POST')).status, 405);
  });

  test('metrics are served in text format, collected at the scrape', async () => {
    const metrics = new Metrics();
    let value = 1;
    metrics.collectedCounter({ name: 'things_total', help: 'Things', labels: ['kind'] }, () => [
      { labels: { kind: 'a' }, value },
    ]);
    await using doors = await open(new Readiness(), metrics);
    assert.match(
      (await read(doors.ports.metrics, '/metrics')).body,
      /^things_total\{kind="a"\} 1$/m,
    );
    value = 5;
    assert.match(
      (await read(doors.ports.metrics, '/stats/prometheus')).body,
      /^things_total\{kind="a"\} 5$/m,
    );
  });

  test('a route that throws answers 500 and the next request is served', async () => {
    await using doors = await open(new Readiness(), new Metrics(), {
      '/boom': () => {
        throw new Error('boom');
      },
    });
    assert.equal((await read(doors.ports.admin, '/boom')).status, 500);
    assert.equal((await read(doors.ports.admin, '/nowhere')).status, 404);
    assert.equal((await read(doors.ports.admin, '/ready')).status, 200);
  });
});

async function open(readiness: Readiness, metrics = new Metrics(), routes = {}) {
  const door = { host: '127.0.0.1', port: 0 };
  const admin = await startAdmin(
    { log: silentLog, metrics, readiness },
    { admin: door, metrics: door, ready: door },
    routes,
  );
  return { ports: admin.ports, [Symbol.asyncDispose]: () => admin.close() };
}

function read(
  port: number,
  path: string,
  method = 'GET',
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const send = method === 'GET' ? get : request;
    const call = send({ host: '127.0.0.1', port, path, method }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    call.on('error', reject);
    call.end();
  });
}
