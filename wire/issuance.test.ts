import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CREATE_CERTIFICATE } from './issuance.ts';
import { DecodeError } from './protobuf.ts';

const { requestSerialize, requestDeserialize, responseSerialize, responseDeserialize } =
  CREATE_CERTIFICATE;
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const field = (number: number, body: Buffer | string): Buffer =>
  Buffer.concat([Buffer.of((number << 3) | 2, body.length), Buffer.from(body)]);
const join = (...parts: Buffer[]): Buffer => Buffer.concat(parts);
const metadata = (key: string, value: Buffer): Buffer =>
  field(4, field(1, join(field(1, key), field(2, value))));

const BYTES = join(
  field(1, 'PEM'),
  hex('18 80 a3 05'),
  metadata('ImpersonatedIdentity', field(3, 'spiffe://a')),
);
const REQUEST = { csr: 'PEM', validitySeconds: 86_400, impersonatedIdentity: 'spiffe://a' };

describe('CreateCertificate', () => {
  test('is the method every client of the service calls', () => {
    assert.equal(
      CREATE_CERTIFICATE.path,
      '/istio.v1.auth.IstioCertificateService/CreateCertificate',
    );
  });

  test('a request has the field numbers of the published schema, both ways', () => {
    assert.deepEqual(requestDeserialize(BYTES), REQUEST);
    assert.deepEqual(requestSerialize(REQUEST), BYTES);
  });

  test('metadata of other keys and kinds is passed over', () => {
    const others = join(
      field(1, 'PEM'),
      metadata('CertSigner', field(3, 'x')),
      metadata('__proto__', field(3, 'x')),
    );
    const expected = { csr: 'PEM', validitySeconds: 0, impersonatedIdentity: undefined };
    assert.deepEqual(requestDeserialize(others), expected);
    const wrongKind = join(field(1, 'PEM'), metadata('ImpersonatedIdentity', hex('20 01')));
    assert.deepEqual(requestDeserialize(wrongKind), expected);
  });

  test('a response is a chain, leaf first', () => {
    const bytes = join(field(1, 'leaf'), field(1, 'root'));
    assert.deepEqual(responseDeserialize(bytes), { chain: ['leaf', 'root'] });
    assert.deepEqual(responseSerialize({ chain: ['leaf', 'root'] }), bytes);
  });

  test('both are read back as they were written', () => {
    const request = fc.record(
      {
        csr: fc.string(),
        validitySeconds: fc.oneof(fc.nat(), fc.constantFrom(-1, 2 ** 40)),
        impersonatedIdentity: fc.option(fc.string(), { nil: undefined }),
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(request, (value) =>
        assert.deepEqual(requestDeserialize(requestSerialize(value)), value),
      ),
    );
    fc.assert(
      fc.property(fc.array(fc.string()), (chain) =>
        assert.deepEqual(responseDeserialize(responseSerialize({ chain })), { chain }),
      ),
    );
  });

  test('bytes give a message or a DecodeError, whatever they are', () => {
    const survives = (bytes: Uint8Array): void => {
      for (const read of [requestDeserialize, responseDeserialize]) {
        try {
          read(Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
        }
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), survives));
    for (let end = 0; end < BYTES.length; end++) survives(BYTES.subarray(0, end));
    fc.assert(
      fc.property(fc.nat(BYTES.length - 1), fc.nat(255), (at, value) => {
        const bytes = Buffer.from(BYTES);
        bytes[at] = value;
        survives(bytes);
      }),
      { numRuns: 1000 },
    );
  });
});
