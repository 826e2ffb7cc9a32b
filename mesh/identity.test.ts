import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { formatIdentity, parseIdentity, readIdentity, sameIdentity } from './identity.ts';
import { ANY_IDENTITY } from './test-arbitraries.ts';

describe('identity', () => {
  test('is exactly five pieces behind the scheme', () => {
    const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' };
    assert.deepEqual(parseIdentity('spiffe://cluster.local/ns/shop/sa/web'), identity);
    for (const text of [
      '',
      'spiffe://',
      'cluster.local/ns/shop/sa/web',
      'http://cluster.local/ns/shop/sa/web',
      'spiffe://cluster.local/ns/shop/sa/web/',
      'spiffe://cluster.local/ns/shop/sa/',
      'spiffe:///ns/shop/sa/web',
      'spiffe://cluster.local/ns//sa/web',
      'spiffe://cluster.local/sa/web/ns/shop',
      'spiffe://cluster.local/ns/shop',
      'spiffe://cluster.local/ns/shop/sa/web?x',
      'spiffe://cluster.local/ns/shop/sa/web#x',
      'spiffe://a b/ns/shop/sa/web',
      'spiffe://CLUSTER.local/ns/shop/sa/web',
      'spiffe://cluster.local:80/ns/shop/sa/web',
      ' spiffe://a/ns/b/sa/c',
      'spiffe://a/ns/b/sa/c\n',
      'spiffe://a/ns/b%2f/sa/c',
      `spiffe://a/ns/${'b'.repeat(254)}/sa/c`,
    ]) {
      assert.equal(readIdentity(text), undefined, JSON.stringify(text));
      assert.throws(() => parseIdentity(text), SyntaxError);
    }
  });

  test('an error names what was read, but never all of a huge text', () => {
    assert.throws(
      () => parseIdentity('x'.repeat(10_000)),
      (error: Error) => error.message.length < 500,
    );
  });

  test('what is written is read back the same', () => {
    fc.assert(
      fc.property(ANY_IDENTITY, (identity) =>
        assert.deepEqual(parseIdentity(formatIdentity(identity)), identity),
      ),
    );
  });

  test('reading never throws, and whatever is accepted has one text', () => {
    const part = fc.string({ maxLength: 10 });
    const text = fc.oneof(
      fc.string(),
      fc.tuple(part, part, part).map(([a, b, c]) => `spiffe://${a}/ns/${b}/sa/${c}`),
    );
    fc.assert(
      fc.property(text, (text) => {
        const identity = readIdentity(text);
        if (identity !== undefined) assert.equal(formatIdentity(identity), text);
      }),
    );
  });

  test('two are the same when all three parts are', () => {
    fc.assert(
      fc.property(ANY_IDENTITY, ANY_IDENTITY, (a, b) =>
        assert.equal(sameIdentity(a, b), formatIdentity(a) === formatIdentity(b)),
      ),
    );
  });
});
