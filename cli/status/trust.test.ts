// Warnings about trust: each well before anything fails, none when all is well.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TrustReport } from '../../mesh/trust.ts';
import type { RotationStatus } from '../../wire/rotation.ts';
import type { AgentRow } from './report.ts';
import { trustProblems } from './trust.ts';

const NOW = Date.UTC(2030, 0, 1);
const DAY = 86_400_000;
const inDays = (days: number): string => new Date(NOW + days * DAY).toISOString();
const root = (name: string, days: number) => ({
  fingerprint: name,
  subject: `CN=${name}`,
  notAfter: inDays(days),
});
const STEADY: RotationStatus = {
  phase: 'steady',
  since: inDays(-100),
  request: '',
  roots: [root('a', 300)],
  signer: { root: 'a', source: 'own', notAfter: inDays(300) },
  retiring: [],
  renewWithinMs: 0,
  bundle: 'x',
  agents: { all: 1, waiting: 0 },
  waitingFor: [],
};
const AGENT: AgentRow = {
  node: 'n1',
  pod: 'agent-1',
  version: '1',
  ready: true,
  connected: true,
  inSync: true,
};
const TRUST: TrustReport = {
  bundle: 'x',
  retiring: [],
  rootsInUse: ['a'],
  earliestEnd: NOW + DAY / 2,
  failing: 0,
  error: '',
};

const reasons = (rotation: Partial<RotationStatus>, trust: Partial<TrustReport> = {}): string[] =>
  trustProblems(
    {
      rootNotAfter: undefined,
      rotation: { ...STEADY, ...rotation },
      agents: [{ ...AGENT, trust: { ...TRUST, ...trust } }],
    },
    NOW,
  ).map(({ reason }) => reason);
const signer = (source: 'own' | 'plugged', days: number) => ({
  root: 'a',
  source,
  notAfter: inDays(days),
});

describe('trust', () => {
  test('that is well gives no problem, also while a root is rotated', () => {
    assert.deepEqual(reasons({}), []);
    const roots = [root('a', 300), root('b', 300)];
    assert.deepEqual(reasons({ phase: 'renewing', since: inDays(0), roots, retiring: ['b'] }), []);
  });

  for (const [name, rotation, trust, expected] of [
    [
      'a root with 29 days left',
      { roots: [root('a', 29)], signer: signer('own', 29) },
      {},
      'RootExpiresSoon',
    ],
    ['a root that ended', { roots: [root('a', -1)], signer: signer('own', -1) }, {}, 'RootExpired'],
    [
      'an intermediate with 13 days left',
      { signer: signer('plugged', 13) },
      {},
      'IntermediateExpiresSoon',
    ],
    ['an intermediate that ended', { signer: signer('plugged', -2) }, {}, 'IntermediateExpired'],
    [
      'another root that ended',
      { roots: [root('a', 300), root('b', -1)] },
      {},
      'TrustedRootExpired',
    ],
    [
      'a Secret that cannot be used',
      { problem: { reason: 'PluggedSignerUnusable', message: 'no key' } },
      {},
      'PluggedSignerUnusable',
    ],
    [
      'a rotation of two hours',
      { phase: 'distributing', since: inDays(-1 / 12) },
      {},
      'RotationStuck',
    ],
    ['an agent that cannot renew', {}, { failing: 2, error: 'UNAVAILABLE' }, 'CertificatesFailing'],
    ['an agent that cannot read its bundle', {}, { error: 'garbage' }, 'TrustUnreadable'],
    ['a certificate that ended', {}, { earliestEnd: NOW - 1 }, 'CertificateExpired'],
    ['an agent under a root that left', {}, { rootsInUse: ['gone'] }, 'AgentOnOldRoot'],
  ] as [string, Partial<RotationStatus>, Partial<TrustReport>, string][]) {
    test(`${name} is ${expected}, with a remedy`, () => {
      assert.deepEqual(reasons(rotation, trust), [expected]);
    });
  }

  test('of a CA that says nothing is judged by the root alone', () => {
    const judge = (days: number) =>
      trustProblems({ rootNotAfter: inDays(days), rotation: undefined, agents: [AGENT] }, NOW);
    assert.deepEqual(judge(31), []);
    assert.equal(judge(3)[0]?.reason, 'RootExpiresSoon');
  });
});
