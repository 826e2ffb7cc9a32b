import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NO_TRACE, readTraceparent } from '../../wire/trace-context.ts';
import { SettingsReader } from '../env.ts';
import { silentLog } from '../log.ts';
import { ManualClock } from '../manual-clock.ts';
import { Metrics } from '../metrics.ts';
import { BATCH_MS } from './exporter.ts';
import { startCollector } from './test-collector.ts';
import { readTracingSettings, startTracing } from './tracing.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER = '00f067aa0ba902b7';

async function setUp(sampling = 1) {
  const collector = await startCollector();
  const clock = new ManualClock();
  const tracing = startTracing(
    { clock, log: silentLog, metrics: new Metrics() },
    { endpoint: collector.endpoint, headers: { 'x-key': 'k' }, sampling },
    { 'service.name': 'test' },
  );
  const { tracer } = tracing;
  assert.ok(tracer);
  return { collector, clock, tracing, tracer };
}

describe('tracing', () => {
  test('parent and child arrive at a collector with times, attributes and who made them', async () => {
    const { collector, clock, tracing, tracer } = await setUp();
    await using _ = collector;
    const server = tracer.begin({ kind: 'server' });
    await clock.advance(10);
    const client = tracer.begin({ kind: 'client', incoming: server.asParent() });
    await clock.advance(5);
    client.end(() => ({ name: 'to web', attributes: { n: 1 }, failure: 'reset' }));
    server.end(() => ({ name: 'GET /', attributes: { 'http.route': 'r', ok: true } }));
    server.end(() => assert.fail('the first end counts'));
    await clock.advance(BATCH_MS);
    await collector.holds(2);
    const [child, parent] = collector.spans;
    assert.equal(parent?.parentSpanId, undefined);
    assert.equal(child?.parentSpanId, parent?.context.spanId);
    assert.equal(child?.context.traceId, parent?.context.traceId);
    assert.deepEqual([child?.kind, child?.failure, child?.attributes['n']], ['client', 'reset', 1]);
    assert.equal((parent?.endMs ?? 0) - (parent?.startMs ?? 0), 15);
    assert.equal(parent?.resource['service.name'], 'test');
    assert.equal(typeof parent?.resource['service.version'], 'string');
    assert.equal(collector.requests[0]?.path, '/v1/traces');
    assert.equal(collector.requests[0]?.headers['x-key'], 'k');
    assert.equal(collector.requests[0]?.headers['content-type'], 'application/x-protobuf');
    await tracing.close();
  });

  test('whoever began a trace decided: sampled or not, whatever our ratio', async () => {
    for (const ratio of [0, 1]) {
      const { collector, tracing, tracer } = await setUp(ratio);
      await using _ = collector;
      const yes = tracer.begin({
        kind: 'server',
        incoming: readTraceparent(`00-${TRACE}-${CALLER}-01`),
      });
      assert.deepEqual([yes.context.traceId, yes.context.sampled], [TRACE, true]);
      assert.notEqual(yes.context.spanId, CALLER);
      const no = tracer.begin({
        kind: 'server',
        incoming: readTraceparent(`00-${TRACE}-${CALLER}-00`),
      });
      assert.deepEqual(no.context, { traceId: TRACE, spanId: CALLER, sampled: false, state: '' });
      no.end(() => assert.fail('nobody reads it'));
      yes.end(() => ({ name: 'yes', attributes: {} }));
      await tracing.close();
      await collector.holds(1);
    }
  });

  test('a trace that begins here is recorded by ratio, and those after are told', async () => {
    const { collector, tracing, tracer } = await setUp(0);
    await using _ = collector;
    assert.equal(tracer.begin({ kind: 'client' }).context.sampled, false);
    assert.equal(tracer.begin({ kind: 'client', ratio: 1 }).context.sampled, true);
    const asked = { ...NO_TRACE, sampled: true };
    assert.equal(tracer.begin({ kind: 'client', incoming: asked }).context.sampled, true);
    await tracing.close();
  });

  test('a trace that this one came by is linked, unless it is the same or nobody recorded it', async () => {
    const { collector, tracing, tracer } = await setUp();
    await using _ = collector;
    const context = { traceId: TRACE, spanId: CALLER, sampled: true, state: '' };
    const end = () => ({ name: 'x', attributes: {} });
    tracer.begin({ kind: 'server', link: context }).end(end);
    tracer.begin({ kind: 'server', link: { ...context, sampled: false } }).end(end);
    const same = readTraceparent(`00-${TRACE}-${CALLER}-01`);
    tracer.begin({ kind: 'server', incoming: same, link: context }).end(end);
    await tracing.close();
    await collector.holds(3);
    assert.deepEqual(
      collector.spans.map(({ link }) => link?.spanId),
      [CALLER, undefined, undefined],
    );
  });
});

describe('the settings of tracing', () => {
  const read = (env: Record<string, string>) => {
    const reader = new SettingsReader(env);
    const settings = readTracingSettings(reader);
    reader.finish();
    return settings;
  };

  test('nothing is traced without an endpoint', async () => {
    assert.equal(read({ AMBIT_TRACE_SAMPLING: '1' }), undefined);
    const parts = { clock: new ManualClock(), log: silentLog, metrics: new Metrics() };
    const tracing = startTracing(parts, undefined, {});
    assert.equal(tracing.tracer, undefined);
    await tracing.close();
    assert.doesNotMatch(await parts.metrics.text(), /trace/);
  });

  test('an address without a path gets the usual one; headers are decoded', () => {
    const settings = read({
      AMBIT_OTLP_ENDPOINT: 'http://collector:4318',
      AMBIT_OTLP_HEADERS: 'Authorization=Bearer%20x, a=b=c',
    });
    assert.equal(settings?.endpoint.href, 'http://collector:4318/v1/traces');
    assert.deepEqual(settings?.headers, { authorization: 'Bearer x', a: 'b=c' });
    assert.equal(settings?.sampling, 0.01);
    assert.equal(read({ AMBIT_OTLP_ENDPOINT: 'https://c/otlp' })?.endpoint.href, 'https://c/otlp');
  });

  test('wrong ones are named together, and a key is not told', () => {
    assert.throws(
      () =>
        read({
          AMBIT_OTLP_ENDPOINT: 'collector:4318',
          AMBIT_OTLP_HEADERS: 'secret',
          AMBIT_TRACE_SAMPLING: '2',
        }),
      (error: Error) =>
        ['AMBIT_OTLP_ENDPOINT', 'AMBIT_OTLP_HEADERS', 'AMBIT_TRACE_SAMPLING'].every((name) =>
          error.message.includes(name),
        ) && !error.message.includes('secret'),
    );
  });
});
