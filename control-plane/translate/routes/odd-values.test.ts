// Whatever users write, the translation goes on, and waypoints can read what comes of it.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeRoute, encodeRoute } from '../../../wire/route-resource.ts';
import { gateway, route, run, toGateway, toService } from './test-routes.ts';

describe('whatever users write', () => {
  const words = fc.constantFrom('api', 'web', 'nobody', '', 'a b', '/x', '\r\n');
  const numbers = fc.constantFrom(80, 0, -1, 1.5, 1e20, 70_000);
  const anything = fc.oneof(words, numbers, fc.constantFrom(null, undefined, [], {}, true));

  /** Rules whose texts and numbers are any of these. */
  function rulesWith(text: fc.Arbitrary<unknown>, number: fc.Arbitrary<unknown>) {
    const some = (fields: Record<string, fc.Arbitrary<unknown>>) =>
      fc.record(fields, { requiredKeys: [] });
    const ref = some({ name: text, port: number, kind: text, weight: number });
    const filter = fc.record(
      {
        type: fc.constantFrom(
          'RequestMirror',
          'CORS',
          'RequestRedirect',
          'URLRewrite',
          'ExternalAuth',
          'RequestHeaderModifier',
        ),
        requestMirror: some({ backendRef: ref, percent: number }),
        cors: some({ maxAge: number }),
        requestRedirect: some({ port: number, statusCode: number, hostname: text }),
        urlRewrite: some({ hostname: text }),
        externalAuth: some({ protocol: fc.constantFrom('HTTP', 'GRPC'), backendRef: ref }),
        requestHeaderModifier: some({ set: fc.array(some({ name: text, value: text })) }),
      },
      { requiredKeys: ['type'] },
    );
    return fc.array(
      some({
        name: text,
        matches: fc.array(some({ path: some({ value: text }), method: text }), { maxLength: 2 }),
        filters: fc.array(filter, { maxLength: 2 }),
        backendRefs: fc.array(ref, { maxLength: 2 }),
        timeouts: some({ request: text }),
        retry: some({ attempts: number, codes: fc.array(number) }),
      }),
      { maxLength: 3 },
    );
  }
  const made = (rules: unknown) => {
    const spec = { parentRefs: [toService('web'), toGateway('front')], rules } as never;
    const httpRoutes = [route('odd', spec), route('good', { parentRefs: [toService('api')] })];
    const translation = run({ gateways: [gateway('front', [{}])], httpRoutes });
    assert.equal(translation.outcomes.length, 2);
    assert.ok(translation.routes.some(({ name }) => name === 'good'));
    return translation.routes;
  };

  test('waypoints can read what comes of it', () => {
    fc.assert(
      fc.property(rulesWith(words, numbers), (rules) => {
        for (const one of made(rules)) decodeRoute(encodeRoute(one));
      }),
      { numRuns: 300 },
    );
  });

  test('nothing stops the translation, not even what a schema would have kept out', () => {
    fc.assert(
      fc.property(fc.oneof(anything, rulesWith(anything, anything)), (rules) => {
        made(rules);
      }),
      { numRuns: 300 },
    );
  });
});
