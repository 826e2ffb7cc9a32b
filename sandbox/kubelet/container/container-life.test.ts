import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { mayMove as podMayMove } from '../pod/pod-life.ts';
import {
  type ContainerLife,
  mayMove,
  move,
  newContainer,
  restartCount,
  START_ERROR,
} from './container-life.ts';

const running: ContainerLife = {
  state: 'running',
  startedAt: 0,
  pid: 1,
  started: false,
  ready: false,
};
const waiting: ContainerLife = { state: 'waiting', reason: 'CrashLoopBackOff' };

function ended(reason = 'Error'): ContainerLife {
  const terminated = { exitCode: 1, reason, startedAt: '', finishedAt: '' };
  return { state: 'terminated', terminated };
}

describe('a container', () => {
  test('moves along the table and nowhere else', () => {
    const states = ['waiting', 'running', 'terminated'] as const;
    const allowed = states.flatMap((from) =>
      states.filter((to) => mayMove(from, to)).map((to) => `${from} ${to}`),
    );
    assert.deepEqual(allowed, [
      'waiting waiting',
      'waiting running',
      'waiting terminated',
      'running running',
      'running terminated',
      'terminated waiting',
      'terminated running',
    ]);
  });

  test('counts a restart when it runs again, and remembers its last end until then and after', () => {
    let record = newContainer('main', 'host', 'ContainerCreating');
    for (const next of [running, ended(), waiting]) record = move(record, next);
    assert.equal(restartCount(record), 0);
    assert.equal(record.last?.reason, 'Error');
    record = move(record, running);
    assert.equal(restartCount(record), 1);
    record = move(record, { ...running, ready: true });
    assert.equal(restartCount(record), 1);
    assert.equal(record.last?.reason, 'Error');
  });

  test('a start that failed counts as a run', () => {
    let record = newContainer('main', 'host', 'ContainerCreating');
    for (const next of [ended(START_ERROR), waiting, ended(START_ERROR)])
      record = move(record, next);
    assert.equal(record.runs, 2);
  });

  test('ignores a step that is not allowed', () => {
    const record = move(newContainer('main', 'host', 'X'), running);
    assert.equal(move(record, waiting), record);
  });
});

test('a pod only moves forward, and ends by way of terminating', () => {
  const states = [
    'preparing',
    'initializing',
    'running',
    'terminating',
    'finished',
    'removed',
  ] as const;
  for (const [index, from] of states.entries()) {
    for (const to of states.slice(0, index + 1)) assert.equal(podMayMove(from, to), false);
    if (index < 3) assert.ok(podMayMove(from, 'terminating'));
  }
});
