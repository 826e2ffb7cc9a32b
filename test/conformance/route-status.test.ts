import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ALL_IS_WELL, CONTROLLER, type Route, statusProblems } from './route-status.ts';

const REF = { group: '', kind: 'Service', name: 'echo', port: 80 };

function condition(type: string, status: 'True' | 'False' = 'True', reason = type) {
  return { type, status, reason, message: 'so', observedGeneration: 2 };
}

function route(parents: NonNullable<Route['status']>['parents'], generation = 2): Route {
  return {
    metadata: { name: 'r', generation },
    spec: { parentRefs: [REF] },
    status: { parents: parents ?? [] },
  };
}

const GOOD = {
  parentRef: REF,
  controllerName: CONTROLLER,
  conditions: [condition('Accepted'), condition('ResolvedRefs')],
};

describe('statusProblems()', () => {
  test('an entry for each parent, both conditions true, of this generation', () =>
    assert.deepEqual(statusProblems(route([GOOD]), ALL_IS_WELL), []));

  test('entries of other controllers are none of ours', () => {
    const foreign = { ...GOOD, controllerName: 'example.com/other' };
    assert.deepEqual(statusProblems(route([foreign, GOOD]), ALL_IS_WELL), []);
    assert.match(statusProblems(route([foreign]), ALL_IS_WELL)[0] ?? '', /has 0 entries/);
  });

  test('the parent must be told exactly as it was named', () => {
    const { port: _, ...rest } = REF;
    const problems = statusProblems(route([{ ...GOOD, parentRef: rest }]), ALL_IS_WELL);
    assert.match(problems.join(), /has 0 entries/);
    assert.match(
      statusProblems(route([GOOD, GOOD]), ALL_IS_WELL).join(),
      /has 2 entries.*2 entries are ours/,
    );
  });

  test('another reason, a missing condition, an old generation', () => {
    const unresolved = [
      condition('Accepted'),
      condition('ResolvedRefs', 'False', 'BackendNotFound'),
    ];
    const one = route([{ ...GOOD, conditions: unresolved }]);
    assert.match(statusProblems(one, ALL_IS_WELL).join(), /ResolvedRefs is False\/BackendNotFound/);
    const wanted = { accepted: 'True', resolvedRefs: 'False/BackendNotFound' } as const;
    assert.deepEqual(statusProblems(one, wanted), []);
    const half = route([{ ...GOOD, conditions: [condition('Accepted')] }]);
    assert.match(statusProblems(half, ALL_IS_WELL).join(), /ResolvedRefs is there 0 times/);
    assert.match(
      statusProblems(route([GOOD], 3), ALL_IS_WELL).join(),
      /of generation 2, expected 3/,
    );
  });
});
