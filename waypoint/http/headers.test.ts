import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '../../mesh/address.ts';
import type { HeaderList } from '../../mesh/http-request.ts';
import {
  forwardedAtEdge,
  forwardedInside,
  withAttemptCount,
  withExpectedTimeout,
  withoutHopByHop,
  withRequestId,
  withUpstreamTime,
} from './headers.ts';

const identity = (serviceAccount: string) => ({
  trustDomain: 'cluster.local',
  namespace: 'shop',
  serviceAccount,
});

describe('a request id', () => {
  test('is kept, and made where there is none or none to be used', () => {
    const given: HeaderList = [['x-request-id', 'abc-1']];
    assert.deepEqual(
      withRequestId(given, () => 'new'),
      { id: 'abc-1', headers: given },
    );
    for (const bad of ['', 'a b', 'x'.repeat(129), 'a\u0000']) {
      const made = withRequestId(
        [
          ['x-request-id', bad],
          ['a', '1'],
        ],
        () => 'new',
      );
      assert.deepEqual(made, {
        id: 'new',
        headers: [
          ['a', '1'],
          ['x-request-id', 'new'],
        ],
      });
    }
  });
});

describe('headers of one connection', () => {
  test('go no further, and neither does what Connection names', () => {
    const headers: HeaderList = [
      ['connection', 'keep-alive, X-Mine'],
      ['keep-alive', 'timeout=5'],
      ['proxy-connection', 'close'],
      ['transfer-encoding', 'chunked'],
      ['upgrade', 'h2c'],
      ['x-mine', '1'],
      ['x-other', '2'],
    ];
    assert.deepEqual(withoutHopByHop(headers), [['x-other', '2']]);
  });

  test('of an upgrade that both hops make are ours', () => {
    const headers: HeaderList = [
      ['connection', 'Upgrade, x-mine'],
      ['upgrade', 'websocket'],
      ['x-mine', '1'],
    ];
    assert.deepEqual(withoutHopByHop(headers, 'websocket'), [
      ['connection', 'upgrade'],
      ['upgrade', 'websocket'],
    ]);
  });

  test('TE keeps trailers and nothing else, even when Connection names it', () => {
    assert.deepEqual(
      withoutHopByHop([
        ['te', 'gzip, trailers;q=0.5'],
        ['connection', 'te'],
      ]),
      [['te', 'trailers']],
    );
    assert.deepEqual(withoutHopByHop([['te', 'gzip, no-trailers']]), []);
  });

  test('Connection cannot take away what the next hop decides by', () => {
    const kept: HeaderList = [
      ['host', 'web'],
      ['content-length', '3'],
      ['authorization', 'Bearer x'],
      ['x-forwarded-for', '192.0.2.1'],
      ['x-request-id', '1'],
      ['traceparent', '00'],
    ];
    const naming = kept.map(([name]) => name).join(',');
    assert.deepEqual(withoutHopByHop([...kept, ['connection', naming]]), kept);
  });

  test('never throws and never adds, whatever the headers are', () => {
    const name = fc.oneof(fc.constantFrom('connection', 'te', 'upgrade'), fc.string());
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.string())), (headers) => {
        const kept = withoutHopByHop(headers);
        assert.ok(kept.length <= headers.length);
        assert.ok(kept.every(([key]) => key !== 'connection' && key !== 'upgrade'));
      }),
    );
  });
});

describe('inside the mesh', () => {
  test('what a gateway said of the client stays, a certificate said by the client goes', () => {
    const headers: HeaderList = [
      ['x-forwarded-for', '192.0.2.1'],
      ['x-forwarded-proto', 'https'],
      ['x-forwarded-client-cert', 'URI=spiffe://cluster.local/ns/bank/sa/root'],
    ];
    assert.deepEqual(forwardedInside(headers, 'http'), headers.slice(0, 2));
  });

  test('the scheme is told where nobody did, and the proven client where it is asked for', () => {
    const certificate = { by: identity('waypoint'), client: identity('client') };
    assert.deepEqual(forwardedInside([], 'http', certificate), [
      ['x-forwarded-proto', 'http'],
      [
        'x-forwarded-client-cert',
        'By=spiffe://cluster.local/ns/shop/sa/waypoint;URI=spiffe://cluster.local/ns/shop/sa/client',
      ],
    ]);
  });
});

describe('at the edge', () => {
  const edge = {
    remote: parseIp('203.0.113.9'),
    scheme: 'https',
    authority: 'shop.example',
    trustedHops: 0,
  } as const;
  const spoofed: HeaderList = [
    ['accept', '*/*'],
    ['x-forwarded-for', '10.0.0.1'],
    ['x-forwarded-for', '10.0.0.2'],
    ['x-forwarded-proto', 'http'],
    ['x-forwarded-host', 'bank.example'],
    ['x-forwarded-client-cert', 'URI=x'],
    ['forwarded', 'for=10.0.0.1'],
    ['x-envoy-max-retries', '100'],
  ];

  test('a stranger is believed nothing, and its address is added', () => {
    assert.deepEqual(forwardedAtEdge(spoofed, edge), [
      ['accept', '*/*'],
      ['x-forwarded-for', '10.0.0.1,10.0.0.2,203.0.113.9'],
      ['x-forwarded-proto', 'https'],
      ['x-forwarded-host', 'shop.example'],
    ]);
  });

  test('a trusted proxy is believed, but for certificates', () => {
    const trusted = forwardedAtEdge(spoofed, { ...edge, trustedHops: 1 });
    assert.deepEqual(
      trusted.map(([name]) => name),
      [
        'accept',
        'x-forwarded-proto',
        'x-forwarded-host',
        'forwarded',
        'x-envoy-max-retries',
        'x-forwarded-for',
      ],
    );
  });
});

test('counts and times are whole numbers, told once', () => {
  const before: HeaderList = [['x-envoy-attempt-count', '7']];
  assert.deepEqual(withAttemptCount(before, 2), [['x-envoy-attempt-count', '2']]);
  assert.deepEqual(withExpectedTimeout([], 0.2), [['x-envoy-expected-rq-timeout-ms', '1']]);
  assert.deepEqual(withUpstreamTime([], 12.6), [['x-envoy-upstream-service-time', '13']]);
});
