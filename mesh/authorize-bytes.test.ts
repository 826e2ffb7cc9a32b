// Policy for bytes that are no HTTP: what asks of requests can only make it stricter.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { authorizeBytes } from './authorize-bytes.ts';
import { authorizeRequest } from './authorize-request.ts';
import type { HttpPolicy } from './http-policy.ts';
import { ANY_FACTS, ANY_HTTP_POLICY } from './test-http-policies.ts';

const OF_REQUESTS = /^(request\.|cel$)/;

function asksOfRequests({ rules }: HttpPolicy): boolean {
  return rules.some(({ clauses }) =>
    clauses.some(({ anyOf }) =>
      anyOf.some((tests) => tests.some(({ attribute }) => OF_REQUESTS.test(attribute))),
    ),
  );
}

const POLICIES = fc.uniqueArray(ANY_HTTP_POLICY, { selector: ({ name }) => name, maxLength: 4 });

describe('authorizeBytes()', () => {
  test('decides as for a request where no policy asks of requests, but never asks anybody', () => {
    fc.assert(
      fc.property(POLICIES, ANY_FACTS, (policies, facts) => {
        fc.pre(!policies.some(asksOfRequests));
        const evaluate = (): undefined => undefined;
        const there = authorizeRequest(policies, { ...facts, trustedHops: 0 }, { evaluate });
        const here = authorizeBytes(policies, facts);
        assert.equal(here.verdict, there.verdict === 'ask' ? 'deny' : there.verdict);
      }),
    );
  });

  test('where bytes are let in, every request of the same connection would be', () => {
    fc.assert(
      fc.property(POLICIES, ANY_FACTS, (policies, facts) => {
        const evaluate = (): undefined => undefined;
        const enforced = policies.map((policy) => ({ ...policy, dryRun: false }));
        if (authorizeBytes(enforced, facts).verdict !== 'allow') return;
        const asked = authorizeRequest(enforced, { ...facts, trustedHops: 0 }, { evaluate });
        assert.equal(asked.verdict, 'allow');
      }),
    );
  });
});
