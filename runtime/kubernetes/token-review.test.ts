// Who holds a token: every answer of the API server, as ours.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryKube } from './memory.ts';
import type { TokenReview } from './objects.ts';
import { bearerToken, readReview, reviewToken } from './token-review.ts';

const USER = {
  username: 'system:serviceaccount:shop:web',
  extra: {
    'authentication.kubernetes.io/pod-name': ['web-1'],
    'authentication.kubernetes.io/pod-uid': ['u1'],
    'authentication.kubernetes.io/node-name': ['n1'],
  },
};
const GOOD: NonNullable<TokenReview['status']> = {
  authenticated: true,
  audiences: ['ambit-ca'],
  user: USER,
};

describe('readReview()', () => {
  test('a bound token tells account, pod and node', () => {
    assert.deepEqual(readReview(GOOD, ['ambit-ca']), {
      kind: 'caller',
      caller: {
        namespace: 'shop',
        serviceAccount: 'web',
        pod: { name: 'web-1', uid: 'u1' },
        node: 'n1',
      },
    });
  });

  test('a token for any of several audiences will do', () => {
    const istio = { ...GOOD, audiences: ['istio-ca'] };
    assert.equal(readReview(istio, ['ambit-ca', 'istio-ca']).kind, 'caller');
    assert.equal(readReview(istio, ['ambit-ca']).kind, 'refused');
  });

  test('an unbound token tells the account only', () => {
    const answer = readReview({ ...GOOD, user: { username: USER.username } }, ['ambit-ca']);
    assert.deepEqual(answer, {
      kind: 'caller',
      caller: { namespace: 'shop', serviceAccount: 'web', pod: undefined, node: undefined },
    });
  });

  const refusals: [string, NonNullable<TokenReview['status']>, RegExp][] = [
    ['an expired token', { authenticated: false, error: 'token expired' }, /token expired/],
    [
      'a token nobody explains',
      { authenticated: false },
      /not valid for audience "ambit-ca", or expired/,
    ],
    ['a token for others', { ...GOOD, audiences: ['api'] }, /not for audience/],
    ['a server that knows no audiences', { ...GOOD, audiences: [] }, /not for audience/],
    ['a person', { ...GOOD, user: { username: 'jane' } }, /"jane" is not a ServiceAccount/],
  ];
  for (const [name, status, reason] of refusals) {
    test(`${name} is refused`, () => {
      const answer = readReview(status, ['ambit-ca']);
      assert.equal(answer.kind, 'refused');
      assert.match(answer.kind === 'refused' ? answer.reason : '', reason);
    });
  }
});

describe('reviewToken()', () => {
  test('does not ask about what cannot be a token', async () => {
    const kube = new MemoryKube();
    for (const token of ['', 'x'.repeat(20_000)]) {
      assert.equal((await reviewToken(kube, token, ['ambit-ca'])).kind, 'refused');
    }
    assert.deepEqual(kube.calls, []);
  });
});

describe('bearerToken()', () => {
  for (const [header, token] of [
    ['Bearer abc', 'abc'],
    ['bearer  abc', 'abc'],
    ['Basic abc', ''],
    ['Bearer a b', ''],
    [undefined, ''],
  ] as const) {
    test(`${header} holds "${token}"`, () => assert.equal(bearerToken(header), token));
  }
});
