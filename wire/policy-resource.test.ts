import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ANY_POLICY, matchOf, policyOf } from '../mesh/test-arbitraries.ts';
import { decodePolicy, encodePolicy } from './policy-resource.ts';
import { DecodeError } from './protobuf.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const field = (number: number, body: Buffer | string): Buffer =>
  Buffer.concat([Buffer.of((number << 3) | 2, body.length), Buffer.from(body)]);
const join = (...parts: Buffer[]): Buffer => Buffer.concat(parts);
const account = join(field(1, 'shop'), field(2, 'web'));
const ten = join(field(1, hex('0a000000')), hex('10 08'));

const MATCH_BYTES = join(
  field(1, field(1, 'shop')),
  field(2, field(2, 'op')),
  field(3, field(3, '/sa/web')),
  field(4, field(4, '')),
  field(5, ten),
  field(6, ten),
  field(7, ten),
  field(8, ten),
  field(9, hex('50')),
  field(10, hex('bb 03')),
  field(11, account),
  field(12, account),
);
const policyBytes = (match: Buffer): Buffer =>
  join(
    field(1, 'p1'),
    field(2, 'shop'),
    hex('18 02 20 01'), // WORKLOAD_SELECTOR, DENY
    field(5, field(1, field(2, match))),
    hex('30 01'),
  );
const RANGE = { ip: '10.0.0.0', prefixLength: 8 } as never;
const ACCOUNT = { namespace: 'shop', serviceAccount: 'web' };
const POLICY = policyOf({
  name: 'p1',
  scope: 'workload',
  dryRun: true,
  rules: [
    {
      clauses: [
        {
          matches: [
            matchOf({
              namespaces: [{ kind: 'exact', value: 'shop' }],
              notNamespaces: [{ kind: 'prefix', value: 'op' }],
              principals: [{ kind: 'suffix', value: '/sa/web' }],
              notPrincipals: [{ kind: 'presence' }],
              sourceIps: [RANGE],
              notSourceIps: [RANGE],
              destinationIps: [RANGE],
              notDestinationIps: [RANGE],
              destinationPorts: [80],
              notDestinationPorts: [443],
              serviceAccounts: [ACCOUNT],
              notServiceAccounts: [ACCOUNT],
            }),
          ],
        },
      ],
    },
  ],
});
const refuses = (body: Uint8Array, name = 'shop/p1'): void =>
  assert.throws(
    () => decodePolicy(body),
    (error) => error instanceof DecodeError && error.message.includes(name),
  );

describe('a policy on the wire', () => {
  test('has the field numbers of the published schema, both ways', () => {
    assert.deepEqual(decodePolicy(policyBytes(MATCH_BYTES)), POLICY);
    assert.deepEqual(Buffer.from(encodePolicy(POLICY)), policyBytes(MATCH_BYTES));
  });

  test('is read back as it was written', () => {
    fc.assert(
      fc.property(ANY_POLICY, (policy) =>
        assert.deepEqual(decodePolicy(encodePolicy(policy)), policy),
      ),
    );
  });

  test('an AUDIT is a DENY in dry run to whoever does not know the field for it', () => {
    const audit = policyOf({ name: 'p1', scope: 'workload', action: 'audit' });
    const bytes = Buffer.from(encodePolicy(audit));
    const ours = hex('c0 3e 01'); // field 1000, YES
    assert.deepEqual(bytes.subarray(-3), ours);
    assert.deepEqual(decodePolicy(bytes.subarray(0, -3)), {
      ...audit,
      action: 'deny',
      dryRun: true,
    });
    refuses(join(bytes.subarray(0, -3), hex('c0 3e 07')));
  });

  test('what is read by half would allow too much: it is refused whole, by name', () => {
    refuses(policyBytes(field(1, ''))); // a match of strings that says nothing
    // the text of whoever has no identity: exact, as a beginning, as an end
    for (const kind of [1, 2, 3]) refuses(policyBytes(field(1, field(kind, ''))));
    refuses(policyBytes(field(5, join(field(1, hex('0a0000')), hex('10 08')))));
    refuses(policyBytes(field(5, join(field(1, hex('0a000000')), hex('10 21')))));
    refuses(join(field(1, 'p1'), field(2, 'shop'), hex('18 07')));
    refuses(join(field(1, 'p1'), field(2, 'shop'), hex('20 07')));
    refuses(field(2, 'shop'), 'no name');
  });

  test('bytes give a policy or a DecodeError, whatever they are', () => {
    const survives = (bytes: Uint8Array): void => {
      try {
        decodePolicy(bytes);
      } catch (error) {
        assert.ok(error instanceof DecodeError, String(error));
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survives));
    const whole = policyBytes(MATCH_BYTES);
    for (let end = 0; end < whole.length; end++) survives(whole.subarray(0, end));
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
        const bytes = Buffer.from(whole);
        bytes[at] = value;
        survives(bytes);
      }),
      { numRuns: 2000 },
    );
  });
});
