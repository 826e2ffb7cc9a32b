import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import type { GatewayListener, GatewayListeners, Serving } from '../mesh/gateway-listeners.ts';
import { SecretText } from '../mesh/secret-text.ts';
import { decodeListeners, encodeListeners } from './listeners-resource.ts';
import { DecodeError } from './protobuf.ts';

const certificate = fc.record({
  chainPem: fc.string(),
  keyPem: fc.string().map((key) => new SecretText(key)),
});
const certificates = fc.array(certificate, { maxLength: 3 });
const serves: fc.Arbitrary<Serving> = fc.oneof(
  fc.constantFrom<Serving>({ kind: 'http' }, { kind: 'passthrough' }, { kind: 'tcp' }),
  fc.record({ kind: fc.constantFrom('https' as const, 'tls' as const), certificates }),
);
const listener: fc.Arbitrary<GatewayListener> = fc.record({
  name: fc.string(),
  port: fc.integer({ min: 1, max: 65_535 }),
  hostname: fc.string(),
  serves,
});
const anyListeners: fc.Arbitrary<GatewayListeners> = fc.record({
  gateway: fc.string({ minLength: 1 }),
  listeners: fc.array(listener, { maxLength: 5 }),
});

/** With keys as texts, so that they are compared too. */
function revealed({ gateway, listeners }: GatewayListeners): object {
  return {
    gateway,
    listeners: listeners.map((one) => ({
      ...one,
      serves:
        'certificates' in one.serves
          ? {
              ...one.serves,
              certificates: one.serves.certificates.map(({ chainPem, keyPem }) => [
                chainPem,
                keyPem.reveal(),
              ]),
            }
          : one.serves,
    })),
  };
}

const ONE: GatewayListeners = {
  gateway: 'shop/edge',
  listeners: [
    {
      name: 'https',
      port: 443,
      hostname: '*.shop.example',
      serves: {
        kind: 'https',
        certificates: [{ chainPem: 'CHAIN', keyPem: new SecretText('PRIVATE') }],
      },
    },
  ],
};

describe('listeners as a resource of discovery', () => {
  test('what was encoded is decoded, keys and all', () => {
    fc.assert(
      fc.property(anyListeners, (value) => {
        assert.deepEqual(revealed(decodeListeners(encodeListeners(value))), revealed(value));
      }),
    );
  });

  test('bytes of any sort decode or give a DecodeError', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        try {
          decodeListeners(bytes);
        } catch (error) {
          assert.ok(error instanceof DecodeError);
        }
      }),
    );
  });

  test('a listener of a kind that is not known refuses the whole', () => {
    const text = new TextDecoder().decode(encodeListeners(ONE));
    const odd = new TextEncoder().encode(text.replace('"kind":"https"', '"kind":"quic"'));
    assert.throws(() => decodeListeners(odd), /serves\.kind is not one of/);
  });

  test('a private key is shown by nothing but the codec', () => {
    assert.match(new TextDecoder().decode(encodeListeners(ONE)), /PRIVATE/);
    for (const shown of [JSON.stringify(ONE), inspect(ONE, { depth: 9, showHidden: true })]) {
      assert.doesNotMatch(shown, /PRIVATE/);
    }
    assert.doesNotMatch(String(new SecretText('PRIVATE')), /PRIVATE/);
  });

  test('an error says where it is wrong and nothing of what is there', () => {
    const body = new TextEncoder().encode(
      JSON.stringify({
        gateway: 'shop/edge',
        listeners: [
          {
            name: 'x',
            port: 443,
            hostname: '',
            serves: { kind: 'tls', certificates: [{ chainPem: 'C', keyPem: ['PRIVATE'] }] },
          },
        ],
      }),
    );
    assert.throws(
      () => decodeListeners(body),
      (error) => error instanceof DecodeError && !error.message.includes('PRIVATE'),
    );
  });
});
