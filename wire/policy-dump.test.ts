import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ANY_POLICY, policyOf } from '../mesh/test-arbitraries.ts';
import type { PolicyDump } from './config-dump.ts';
import { dumpPolicy, readPolicyDump } from './policy-dump.ts';
import { DecodeError } from './protobuf.ts';

describe('a policy in a dump', () => {
  test('is read back as it was, through JSON', () => {
    fc.assert(
      fc.property(ANY_POLICY, (policy) => {
        const text = JSON.stringify(dumpPolicy(policy));
        assert.deepEqual(readPolicyDump(JSON.parse(text) as PolicyDump), policy);
      }),
    );
  });

  const dump = (match: object): PolicyDump => ({
    ...dumpPolicy(policyOf({ name: 'p' })),
    rules: [[[match as never]]],
  });
  const cases: [string, PolicyDump][] = [
    ['an action nobody knows', { ...dump({}), action: 'Maybe' }],
    ['a scope nobody knows', { ...dump({}), scope: 'Galaxy' as never }],
    ['an attribute nobody knows', dump({ moods: ['good'] })],
    ['a match of strings that says nothing', dump({ principals: [{}] })],
    ['one that says two things', dump({ principals: [{ Exact: 'a', Prefix: 'b' }] })],
    ['a range that is none', dump({ sourceIps: ['10.0.0.0/33'] })],
    ['a range without a length', dump({ sourceIps: ['10.0.0.0'] })],
    ['a port that is a text', dump({ destinationPorts: ['80'] })],
    ['an account without a name', dump({ serviceAccounts: [{ namespace: 'shop' }] })],
    ['a null', dump({ notServiceAccounts: [null] })],
  ];
  for (const [name, value] of cases) {
    test(`with ${name} is refused by name`, () => {
      assert.throws(
        () => readPolicyDump(value),
        (error) => error instanceof DecodeError && error.message.includes('shop/p'),
      );
    });
  }
});
