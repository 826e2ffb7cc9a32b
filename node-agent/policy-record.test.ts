// PolicyRecord: every decision is counted under the policy that made it, and the series stay bounded.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import { type Decision, LEFT_TO_DESTINATION } from '../mesh/authorize.ts';
import { systemClock } from '../runtime/clock.ts';
import { Metrics } from '../runtime/metrics.ts';
import { PolicyRecord, policyLabel } from './policy-record.ts';
import { memoryLog } from './test-support/world.ts';

const REQUEST = {
  peer: undefined,
  source: { ip: parseIp('10.0.0.1'), port: 40_000 },
  destination: { ip: parseIp('10.0.0.2'), port: 80 },
};
const decision = (parts: Partial<Decision>): Decision => ({ ...LEFT_TO_DESTINATION, ...parts });

function recording(): {
  say(parts: Partial<Decision>): void;
  series(name: string): Promise<string[]>;
  lines: Record<string, unknown>[];
} {
  const metrics = new Metrics();
  const { log, lines } = memoryLog();
  const record = new PolicyRecord({ log, metrics, clock: systemClock });
  return {
    say: (parts) => record.decided(decision(parts), 'k//Pod/shop/web', REQUEST),
    series: async (name) =>
      (await metrics.text()).split('\n').filter((line) => line.startsWith(`${name}{`)),
    lines,
  };
}

describe('PolicyRecord', () => {
  test('counts each decision with its policy, action and reason', async () => {
    const { say, series } = recording();
    say({});
    say({ verdict: 'deny', basis: 'denied-by-policy', policies: ['shop/deny'] });
    say({ verdict: 'deny', basis: 'denied-by-policy', policies: ['shop/deny'] });
    assert.deepEqual(await series('ambit_policy_decisions_total'), [
      'ambit_policy_decisions_total{policy="-",action="allow",reason="no-allow-policy"} 1',
      'ambit_policy_decisions_total{policy="shop/deny",action="deny",reason="denied-by-policy"} 2',
    ]);
  });

  test('counts and logs what AUDIT and dry run saw, with what would have been', async () => {
    const { say, series, lines } = recording();
    say({ audited: ['shop/watch'], dryRun: ['shop/try'], wouldBe: 'deny' });
    assert.deepEqual(await series('ambit_policy_dry_run_total'), [
      'ambit_policy_dry_run_total{policy="shop/watch",kind="audit",action="allow",would_be="allow"} 1',
      'ambit_policy_dry_run_total{policy="shop/try",kind="dry_run",action="allow",would_be="deny"} 1',
    ]);
    assert.equal(lines.length, 2);
    assert.deepEqual([lines[1]?.['policies'], lines[1]?.['wouldBe']], [['shop/try'], 'deny']);
  });

  test('an ALLOW in dry run that would deny by not matching is told of; one that changes nothing is not', () => {
    const { say, lines } = recording();
    say({ wouldBe: 'allow' });
    assert.equal(lines.length, 0);
    say({ wouldBe: 'deny' });
    assert.equal(lines.length, 1);
  });

  test('warns once of a policy nobody knows, not with every connection', () => {
    const { say, lines } = recording();
    const unknown = { verdict: 'deny', basis: 'policy-unknown', policies: ['shop/lost'] } as const;
    say(unknown);
    say(unknown);
    assert.deepEqual(
      lines.map((line) => [line['level'], line['workload']]),
      [['warn', 'k//Pod/shop/web']],
    );
  });

  test('gathers policies beyond 2,000 series under "other"', async () => {
    const { say, series } = recording();
    for (let i = 0; i < 2100; i++) {
      say({ verdict: 'deny', basis: 'denied-by-policy', policies: [`shop/p${i}`] });
    }
    const lines = await series('ambit_policy_decisions_total');
    assert.equal(lines.length, 2001);
    assert.match(lines.at(-1) ?? '', /policy="other".* 100$/);
  });
});

test('a label names three policies at most', () => {
  assert.equal(policyLabel({ policies: ['a/1', 'a/2', 'a/3', 'a/4'] }), 'a/1,a/2,a/3,...');
});
