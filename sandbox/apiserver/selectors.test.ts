import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  formatLabelSelector,
  fromObjectSelector,
  matchesLabels,
  parseLabelSelector,
  type Requirement,
} from './selectors.ts';

describe('parseLabelSelector()', () => {
  const labels = { app: 'web', tier: 'front', 'example.com/x': '5' };
  const cases: [string, boolean][] = [
    ['', true],
    ['app=web', true],
    ['app==web,tier=front', true],
    ['app!=web', false],
    ['missing!=x', true],
    ['app in (web, api)', true],
    ['app in (api)', false],
    ['app notin (api,db),tier', true],
    ['!missing', true],
    ['!app', false],
    ['example.com/x>4', true],
    ['example.com/x < 5', false],
    ['app=', false],
    ['missing in (a),app', false],
  ];
  for (const [text, expected] of cases) {
    test(`'${text}' ${expected ? 'chooses' : 'does not choose'} the object`, () => {
      assert.equal(matchesLabels(parseLabelSelector(text), labels), expected);
    });
  }

  for (const text of [
    'a=b=c',
    'app in web',
    'app in (a',
    'a,,b',
    '(a)',
    'a=b c',
    '-a=b',
    'a>x',
    'a in (b))',
  ]) {
    test(`'${text}' is refused`, () =>
      assert.throws(() => parseLabelSelector(text), /unable to parse requirement/));
  }

  test('any text is parsed or refused with 400, never anything else', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'ab=!,() <>innot-./5'.split('')), maxLength: 20 }),
        (text) => {
          try {
            parseLabelSelector(text);
          } catch (error) {
            assert.equal((error as { code?: number }).code, 400);
          }
        },
      ),
    );
  });

  test('what is formatted parses back to the same choice', () => {
    const requirement: fc.Arbitrary<Requirement> = fc.record({
      key: fc.constantFrom('a', 'b', 'example.com/c'),
      operator: fc.constantFrom('In', 'NotIn', 'Exists', 'DoesNotExist'),
      values: fc.array(fc.constantFrom('x', 'y', ''), { minLength: 1, maxLength: 3 }),
    });
    const someLabels = fc.dictionary(
      fc.constantFrom('a', 'b', 'example.com/c'),
      fc.constantFrom('x', 'y', '', 'z'),
    );
    fc.assert(
      fc.property(fc.array(requirement, { maxLength: 4 }), someLabels, (selector, object) => {
        const parsed = parseLabelSelector(formatLabelSelector(selector));
        assert.equal(matchesLabels(parsed, object), matchesLabels(selector, object));
      }),
    );
  });

  test('the object form means the same as the text form', () => {
    const selector = fromObjectSelector({
      matchLabels: { app: 'web' },
      matchExpressions: [{ key: 'tier', operator: 'In', values: ['front', 'back'] }],
    });
    assert.equal(formatLabelSelector(selector), 'app=web,tier in (front,back)');
    assert.ok(matchesLabels(selector, { app: 'web', tier: 'back' }));
  });
});
