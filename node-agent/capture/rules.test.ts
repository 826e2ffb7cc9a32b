// The ruleset as text: what nft would be told. What it does to connections is tested in network namespaces.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { routeBatch, routeRemovalBatch, ruleset, rulesetRemoval } from './rules.ts';

function chain(text: string, name: string): string[] {
  const body = text
    .slice(text.indexOf(`chain ${name} {`))
    .split('\n')
    .slice(2);
  return body
    .slice(
      0,
      body.findIndex((line) => line.trim() === '}'),
    )
    .map((line) => line.trim());
}

describe('ruleset()', () => {
  for (const state of ['capturing', 'released'] as const) {
    test(`${state}: replaces the whole table in one transaction, whether it is there or not`, () => {
      const lines = ruleset(state).trim().split('\n');
      assert.deepEqual(lines.slice(0, 3), [
        'add table inet ambit',
        'delete table inet ambit',
        'table inet ambit {',
      ]);
      assert.equal(lines.at(-1), '}');
      assert.match(ruleset(state), new RegExp(`comment "version \\d+ ${state}"`));
    });

    test(`${state}: keeps the marks that bring replies back to the agent`, () => {
      const text = ruleset(state);
      assert.deepEqual(chain(text, 'mark_in'), [
        'meta mark and 0xfff == 0x539 ct mark set ct mark and 0xfffff000 or 0x111',
      ]);
      assert.deepEqual(chain(text, 'mark_out'), [
        'ct mark and 0xfff == 0x111 meta mark set ct mark',
      ]);
    });
  }

  test('capturing: redirects opening SYNs only, after every exception', () => {
    for (const [name, port] of [
      ['nat_in', 15006],
      ['nat_out', 15001],
    ] as const) {
      const rules = chain(ruleset('capturing'), name);
      const redirects = rules.filter((rule) => rule.includes('redirect'));
      assert.deepEqual(redirects, [
        `tcp flags & (fin | syn | rst | ack) == syn redirect to :${port}`,
      ]);
      assert.equal(rules.at(-1), redirects[0]);
      assert.ok(rules.slice(0, -1).every((rule) => rule.endsWith('accept')));
    }
  });

  test('capturing: leaves alone what the agent sends, and what comes for its tunnel door', () => {
    const own = 'meta mark and 0xfff == 0x539 accept';
    assert.ok(chain(ruleset('capturing'), 'nat_in').includes(own));
    assert.ok(chain(ruleset('capturing'), 'nat_out').includes(own));
    assert.ok(chain(ruleset('capturing'), 'nat_in').includes('tcp dport 15008 accept'));
    assert.ok(chain(ruleset('capturing'), 'nat_out').includes('oifname "lo" accept'));
  });

  test('capturing: leaves alone the address that kubelet probes come from', () => {
    assert.ok(chain(ruleset('capturing'), 'nat_in').includes('ip saddr 169.254.7.127 accept'));
    assert.ok(chain(ruleset('capturing'), 'nat_out').includes('ip daddr 169.254.7.127 accept'));
  });

  test('released: redirects nothing, and keeps a rule on conntrack for what is still open', () => {
    for (const name of ['nat_in', 'nat_out']) {
      assert.deepEqual(chain(ruleset('released'), name), ['ct state established accept']);
    }
  });

  test('its removal does not mind when there is nothing', () => {
    assert.equal(rulesetRemoval(), 'add table inet ambit\ndelete table inet ambit\n');
  });
});

describe('routeBatch()', () => {
  test('adds the rule once, and the route whatever is there', () => {
    assert.equal(
      routeBatch(4, false),
      'route replace local 0.0.0.0/0 dev lo table 100\nrule add fwmark 0x111/0xfff pref 32764 lookup 100\n',
    );
    assert.equal(routeBatch(6, true), 'route replace local ::/0 dev lo table 100\n');
  });

  test('has a removal of exactly what it adds', () => {
    assert.equal(
      routeRemovalBatch(6),
      'rule del fwmark 0x111/0xfff pref 32764 lookup 100\nroute del local ::/0 dev lo table 100\n',
    );
  });
});
