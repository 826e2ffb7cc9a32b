import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from '../../mesh/address.ts';
import type { HeaderList, RequestSource } from '../../mesh/http-request.ts';
import type { Fault, TrafficMatch } from '../../mesh/traffic-policy.ts';
import { drawFaults, type FaultDraw } from './fault.ts';

const ANY: TrafficMatch = { headers: [], source: { namespaces: [], principals: [] } };
const DELAY: Fault = { match: ANY, percent: 100, action: { kind: 'delay', delayMs: 50 } };
const ABORT: Fault = { match: ANY, percent: 100, action: { kind: 'abort', status: 503 } };
const GRPC: Fault = { match: ANY, percent: 100, action: { kind: 'abort-grpc', grpcStatus: 14 } };
const WEB: RequestSource = {
  identity: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' },
  ip: parseIp('10.0.0.1'),
};
const NOBODY: RequestSource = { ...WEB, identity: undefined };

type Asked = { headers?: HeaderList; source?: RequestSource; random?: () => number };
function drawn(faults: readonly Fault[], asked: Asked = {}): FaultDraw {
  const request = {
    method: 'GET',
    scheme: 'http',
    authority: 'web',
    path: '/',
    query: undefined,
    headers: asked.headers ?? [],
  } as const;
  return drawFaults(faults, request, asked.source ?? WEB, asked.random ?? (() => 0));
}
const hit = (match: Partial<TrafficMatch>, asked: Asked = {}): boolean =>
  drawn([{ ...ABORT, match: { ...ANY, ...match } }], asked).abort !== undefined;

describe('drawFaults()', () => {
  test('draws nothing without faults, and each of them by its percentage', () => {
    assert.deepEqual(drawn([]), { delayMs: 0, abort: undefined });
    const tenth: Fault = { ...ABORT, percent: 12.5 };
    assert.ok(drawn([tenth], { random: () => 0.1249 }).abort);
    assert.equal(drawn([tenth], { random: () => 0.125 }).abort, undefined);
    assert.equal(drawn([{ ...ABORT, percent: 0 }]).abort, undefined);
    assert.ok(drawn([ABORT], { random: () => 1 - Number.EPSILON }).abort);
  });

  test('draws each by itself, so that a request may be late and then refused', () => {
    assert.deepEqual(drawn([DELAY, ABORT]), { delayMs: 50, abort: { kind: 'http', status: 503 } });
    const draws = [0.9, 0.1];
    const late = { ...DELAY, percent: 50 };
    const refused = { ...ABORT, percent: 50 };
    assert.deepEqual(drawn([late, refused], { random: () => draws.shift() ?? 1 }), {
      delayMs: 0,
      abort: { kind: 'http', status: 503 },
    });
  });

  test('takes the first abort and the longest delay', () => {
    const longer: Fault = { ...DELAY, action: { kind: 'delay', delayMs: 70 } };
    assert.deepEqual(drawn([GRPC, longer, DELAY, ABORT]), {
      delayMs: 70,
      abort: { kind: 'grpc', grpcStatus: 14 },
    });
  });

  test('is for requests with all the headers only', () => {
    const headers = [
      { name: 'x-test', value: 'chaos' },
      { name: 'x-user', value: 'me' },
    ];
    assert.ok(
      hit(
        { headers },
        {
          headers: [
            ['x-user', 'me'],
            ['x-test', 'chaos'],
          ],
        },
      ),
    );
    assert.ok(!hit({ headers }, { headers: [['x-test', 'chaos']] }));
    assert.ok(
      !hit(
        { headers },
        {
          headers: [
            ['x-user', 'me'],
            ['x-test', 'chaos2'],
          ],
        },
      ),
    );
  });

  test('is for the callers it names only, and never for one without an identity', () => {
    const principals = ['cluster.local/ns/shop/sa/web'];
    assert.ok(hit({ source: { namespaces: ['ops', 'shop'], principals: [] } }));
    assert.ok(hit({ source: { namespaces: [], principals } }));
    assert.ok(hit({ source: { namespaces: ['shop'], principals } }));
    assert.ok(!hit({ source: { namespaces: ['ops'], principals } }));
    assert.ok(!hit({ source: { namespaces: [], principals: ['cluster.local/ns/shop/sa/api'] } }));
    assert.ok(!hit({ source: { namespaces: ['shop'], principals: [] } }, { source: NOBODY }));
    assert.ok(!hit({ source: { namespaces: [], principals } }, { source: NOBODY }));
    assert.ok(hit({}, { source: NOBODY }));
  });
});
