import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ANY_TRAFFIC_POLICY } from '../mesh/test-traffic-policies.ts';
import { DEFAULT_TRAFFIC_POLICY } from '../mesh/traffic-defaults.ts';
import { DecodeError } from './protobuf.ts';
import { decodeTrafficPolicy, encodeTrafficPolicy } from './traffic-policy-resource.ts';

const decode = (body: Uint8Array) => decodeTrafficPolicy('shop/web', body);
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const EMPTY = { namespace: 'shop', name: 'web', targets: [], settings: {} };
function refuses(value: unknown, message: RegExp): void {
  assert.throws(
    () => decode(json(value)),
    (error) =>
      error instanceof DecodeError &&
      error.message.startsWith('traffic policy "shop/web"') &&
      message.test(error.message),
    String(message),
  );
}
const withSettings = (settings: object): object => ({ ...EMPTY, settings });

describe('a traffic policy on the wire', () => {
  test('is read back as it was written', () => {
    fc.assert(
      fc.property(ANY_TRAFFIC_POLICY, (policy) =>
        assert.deepEqual(decode(encodeTrafficPolicy(policy)), policy),
      ),
    );
  });

  test('may say the defaults, each section of them', () => {
    const policy = { ...EMPTY, settings: DEFAULT_TRAFFIC_POLICY };
    assert.deepEqual(
      { ...DEFAULT_TRAFFIC_POLICY, ...decode(encodeTrafficPolicy(policy)).settings },
      DEFAULT_TRAFFIC_POLICY,
    );
  });

  test('is refused whole for one field that is not known, not there or out of bounds, by its path', () => {
    const { timeouts, retries, loadBalancing } = DEFAULT_TRAFFIC_POLICY;
    refuses({ ...EMPTY, more: 1 }, /field "more" is not known here/);
    refuses([], /is not an object/);
    refuses({ ...EMPTY, name: undefined }, /\.name is not a text/);
    refuses(
      { ...EMPTY, targets: [{ kind: 'pod' }] },
      /targets\[0\]\.kind is not one of service, route/,
    );
    refuses({ ...EMPTY, targets: [{ kind: '__proto__' }] }, /targets\[0\]\.kind/);
    refuses(withSettings({ limits: {} }), /settings: field "limits" is not known here/);
    refuses(
      withSettings({ timeouts: { ...timeouts, connectMs: 0 } }),
      /timeouts\.connectMs is not a whole number from 1/,
    );
    refuses(
      withSettings({ timeouts: { ...timeouts, connectMs: '1' } }),
      /connectMs is not a whole number/,
    );
    refuses(
      withSettings({ timeouts: { ...timeouts, connectMs: 1.5 } }),
      /connectMs is not a whole number/,
    );
    refuses(
      withSettings({ retries: { ...retries, on: ['4xx'] } }),
      /retries\.on\[0\] is not one of/,
    );
    refuses(
      withSettings({ retries: { ...retries, codes: Array(501).fill(500) } }),
      /codes is not a list of at most 500/,
    );
    const cookie = { by: 'cookie', name: 'a; Domain=evil' };
    refuses(withSettings({ loadBalancing: { ...loadBalancing, hash: cookie } }), /hash\.name/);
    const split = { by: 'cookie', name: 'a', path: '/\r\nset-cookie: b' };
    refuses(withSettings({ loadBalancing: { ...loadBalancing, hash: split } }), /hash\.path/);
  });

  test('is refused when it is too large to be one', () => {
    const body = Buffer.alloc(4 * 1024 * 1024 + 1, ' ');
    assert.throws(() => decode(body), /4194305 bytes are more than 4194304/);
  });

  test('bytes give a policy or a DecodeError, whatever they are', () => {
    const survives = (bytes: Uint8Array): void => {
      try {
        decode(bytes);
      } catch (error) {
        assert.ok(error instanceof DecodeError, String(error));
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survives));
    fc.assert(fc.property(fc.json(), (text) => survives(Buffer.from(text))));
    survives(Buffer.from('['.repeat(1_000_000)));
    fc.assert(
      fc.property(ANY_TRAFFIC_POLICY, fc.nat(), fc.nat(255), (policy, at, byte) => {
        const bytes = Buffer.from(encodeTrafficPolicy(policy));
        bytes[at % bytes.length] = byte;
        survives(bytes);
        survives(bytes.subarray(0, at % bytes.length));
      }),
      { numRuns: 1000 },
    );
  });

  test('a value put in the place of another gives a policy or a DecodeError', () => {
    const anything = fc.jsonValue();
    fc.assert(
      fc.property(ANY_TRAFFIC_POLICY, anything, fc.nat(), (policy, value, at) => {
        let left = at % 60;
        const swapped = JSON.stringify(policy, (_key, old: unknown) =>
          left-- === 0 ? value : old,
        );
        try {
          decode(Buffer.from(swapped ?? 'null'));
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
        }
      }),
      { numRuns: 1000 },
    );
  });
});
