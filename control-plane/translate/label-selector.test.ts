import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { LabelSelector } from '../../runtime/kubernetes/objects.ts';
import { matchesLabels } from './label-selector.ts';

type Expression = NonNullable<LabelSelector['matchExpressions']>[number];

const LABELS = { team: 'shop', tier: 'front' };
const says = (key: string, operator: string, ...values: string[]): boolean =>
  matchesLabels(
    { matchExpressions: [{ key, operator: operator as Expression['operator'], values }] },
    LABELS,
  );

describe('matchesLabels()', () => {
  test('an empty selector selects everything', () => {
    assert.ok(matchesLabels({}, LABELS));
    assert.ok(matchesLabels({}));
  });

  test('every label must be there with its value', () => {
    assert.ok(matchesLabels({ matchLabels: { team: 'shop' } }, LABELS));
    assert.ok(!matchesLabels({ matchLabels: { team: 'shop', tier: 'back' } }, LABELS));
  });

  test('each operator means what it does in Kubernetes', () => {
    assert.deepEqual(
      [
        says('team', 'In', 'bank', 'shop'),
        says('team', 'In', 'bank'),
        says('zone', 'In', 'a'),
        says('team', 'NotIn', 'bank'),
        says('team', 'NotIn', 'shop'),
        says('zone', 'NotIn', 'a'),
        says('team', 'Exists'),
        says('zone', 'Exists'),
        says('zone', 'DoesNotExist'),
        says('team', 'DoesNotExist'),
      ],
      [true, false, false, true, false, true, true, false, true, false],
    );
  });

  test('an operator nobody knows selects nothing', () => {
    assert.ok(!says('team', 'Near', 'shop'));
  });
});
