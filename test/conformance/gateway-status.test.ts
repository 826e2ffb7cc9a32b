import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Gateway, gatewayProblems, LISTENING, PROGRAMMED } from './gateway-status.ts';

function condition(type: string, status: 'True' | 'False' = 'True', reason = type) {
  return { type, status, reason, message: 'so', observedGeneration: 1 };
}

const GATEWAY: Gateway = {
  metadata: { name: 'g', generation: 1 },
  spec: { listeners: [{ name: 'http' }] },
  status: {
    addresses: [{ type: 'IPAddress', value: '10.0.0.1' }],
    conditions: [condition('Accepted'), condition('Programmed')],
    listeners: [
      {
        name: 'http',
        attachedRoutes: 1,
        supportedKinds: [{ kind: 'HTTPRoute' }, { kind: 'GRPCRoute' }],
        conditions: [condition('Accepted'), condition('Programmed'), condition('ResolvedRefs')],
      },
    ],
  },
};
const LISTENER = GATEWAY.status!.listeners![0]!;

describe('gatewayProblems()', () => {
  test('one that is programmed, with an address and its listeners', () => {
    const kinds = ['GRPCRoute', 'HTTPRoute'];
    const http = { ...LISTENING, attachedRoutes: 1, supportedKinds: kinds };
    assert.deepEqual(gatewayProblems(GATEWAY, { ...PROGRAMMED, listeners: { http } }), []);
  });

  test('an address needs a type, each listener a status', () => {
    const status = { ...GATEWAY.status, addresses: [{ value: '10.0.0.1' }], listeners: [] };
    assert.deepEqual(gatewayProblems({ ...GATEWAY, status }, PROGRAMMED), [
      'it has no address with a type',
      'its status is of the listeners , expected http',
    ]);
  });

  test('what is wrong with a listener is told with its name', () => {
    const http = {
      conditions: { ResolvedRefs: 'False/InvalidRouteKinds' },
      attachedRoutes: 0,
      supportedKinds: ['HTTPRoute'],
    } as const;
    const problems = gatewayProblems(GATEWAY, { listeners: { http } });
    assert.equal(problems.length, 3);
    assert.match(problems[0]!, /^listener http: ResolvedRefs is True\/ResolvedRefs/);
    const old = { ...GATEWAY, metadata: { name: 'g', generation: 2 } };
    assert.match(gatewayProblems(old, { listeners: { http: {} } }).join(), /of generation 1/);
  });

  test('a reason of * is any', () => {
    const listeners = [{ ...LISTENER, conditions: [condition('Programmed', 'False', 'Invalid')] }];
    const one = { ...GATEWAY, status: { ...GATEWAY.status, listeners } };
    const http = { conditions: { Programmed: 'False/*' } } as const;
    assert.deepEqual(gatewayProblems(one, { listeners: { http } }), []);
  });
});
