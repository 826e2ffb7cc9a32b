import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isEnrolledBy, modeOfLabels } from './namespace.ts';

describe('modes', () => {
  test('a label value nobody knows counts as none given', () => {
    assert.equal(modeOfLabels({ 'ambit-mesh.io/mode': 'ambiant' }), 'unset');
    assert.equal(modeOfLabels(undefined), 'unset');
    assert.equal(modeOfLabels({ 'ambit-mesh.io/mode': 'none' }), 'none');
  });

  for (const [pod, namespace, enrolled] of [
    ['unset', 'ambient', true],
    ['unset', 'none', false],
    ['unset', 'unset', false],
    ['none', 'ambient', false],
    ['ambient', 'none', true],
    ['ambient', 'unset', true],
  ] as const) {
    test(`pod ${pod} in namespace ${namespace}: ${enrolled ? 'in' : 'out'}`, () =>
      assert.equal(isEnrolledBy(pod, namespace), enrolled));
  }
});
