// The ruleset as text: what nft would be told. What it does to connections is tested in network namespaces.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CAPTURE_EVERYTHING } from '../../mesh/capture-options.ts';
import { parseCidr } from '../../mesh/cidr.ts';
import { type RuleState, routeBatch, routeRemovalBatch, ruleset, rulesetRemoval } from './rules.ts';

const RELEASED: RuleState = { kind: 'released' };

function capturing(changes: Partial<typeof CAPTURE_EVERYTHING> = {}, dns = true): string {
  return ruleset({ kind: 'capturing', options: { ...CAPTURE_EVERYTHING, ...changes }, dns });
}

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
  for (const [state, whole] of [
    ['capturing', capturing()],
    ['released', ruleset(RELEASED)],
  ] as const) {
    test(`${state}: replaces the whole table in one transaction, whether it is there or not`, () => {
      const lines = whole.trim().split('\n');
      assert.deepEqual(lines.slice(0, 3), [
        'add table inet ambit',
        'delete table inet ambit',
        'table inet ambit {',
      ]);
      assert.equal(lines.at(-1), '}');
      assert.match(whole, new RegExp(`comment "version \\d+ ${state}"`));
    });

    test(`${state}: keeps the marks that bring replies back to the agent`, () => {
      assert.deepEqual(chain(whole, 'mark_in'), [
        'meta mark and 0xfff == 0x539 ct mark set ct mark and 0xfffff000 or 0x111',
      ]);
      assert.deepEqual(chain(whole, 'mark_out'), [
        'ct mark and 0xfff == 0x111 meta mark set ct mark',
      ]);
    });
  }

  test('capturing: redirects opening SYNs only, after every exception', () => {
    for (const [name, port] of [
      ['nat_in', 15006],
      ['nat_out', 15001],
    ] as const) {
      const rules = chain(capturing({}, false), name);
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
    assert.ok(chain(capturing({}, false), 'nat_in').includes(own));
    assert.ok(chain(capturing({}, false), 'nat_out').includes(own));
    assert.ok(chain(capturing({}, false), 'nat_in').includes('tcp dport 15008 accept'));
    assert.ok(chain(capturing({}, false), 'nat_out').includes('oifname "lo" accept'));
  });

  test('capturing: leaves alone the address that kubelet probes come from', () => {
    assert.ok(chain(capturing({}, false), 'nat_in').includes('ip saddr 169.254.7.127 accept'));
    assert.ok(chain(capturing({}, false), 'nat_out').includes('ip daddr 169.254.7.127 accept'));
  });

  test('released: redirects nothing, and keeps a rule on conntrack for what is still open', () => {
    for (const name of ['nat_in', 'nat_out']) {
      assert.deepEqual(chain(ruleset(RELEASED), name), ['ct state established accept']);
    }
  });

  test('DNS: both transports are led to us before anything else of the pod, our own questions are not', () => {
    const rules = chain(capturing(), 'nat_out');
    assert.deepEqual(rules.slice(-3, -1), [
      'udp dport 53 redirect to :15053',
      'tcp dport 53 tcp flags & (fin | syn | rst | ack) == syn redirect to :15053',
    ]);
    assert.ok(
      rules.indexOf('meta mark and 0xfff == 0x539 accept') < rules.indexOf(rules.at(-3) ?? ''),
    );
    assert.deepEqual(chain(capturing(), 'zone_out'), [
      'udp dport 53 meta mark and 0xfff == 0x539 ct zone set 1',
    ]);
    assert.deepEqual(chain(capturing(), 'zone_in'), [
      'udp sport 53 meta mark and 0xfff != 0x539 ct zone set 1',
    ]);
    assert.doesNotMatch(capturing({}, false), /dport 53|zone/);
  });

  test('what is left out is accepted before any redirection, in its own direction only', () => {
    const text = capturing({
      excludeInboundPorts: [{ first: 8080, last: 8080 }],
      excludeOutboundPorts: [
        { first: 9000, last: 9100 },
        { first: 53, last: 53 },
        { first: 9050, last: 9200 },
        { first: 9201, last: 9201 },
      ],
      excludeInboundCidrs: [parseCidr('10.0.0.0/8')],
      excludeOutboundCidrs: [parseCidr('fd00::/8'), parseCidr('192.0.2.7')],
    });
    assert.deepEqual(chain(text, 'nat_in').slice(-3, -1), [
      'tcp dport { 8080 } accept',
      'ip saddr 10.0.0.0/8 accept',
    ]);
    assert.deepEqual(chain(text, 'nat_out').slice(-6, -3), [
      'meta l4proto { tcp, udp } th dport { 53, 9000-9201 } accept',
      'ip6 daddr fd00::/8 accept',
      'ip daddr 192.0.2.7/32 accept',
    ]);
  });

  test('an ingress keeps its plaintext, and is captured on its way out', () => {
    const text = capturing({ bypassInbound: true });
    assert.doesNotMatch(chain(text, 'nat_in').join('\n'), /redirect/);
    assert.match(chain(text, 'nat_out').join('\n'), /redirect to :15001/);
  });

  test('its removal does not mind when there is nothing', () => {
    assert.equal(rulesetRemoval(), 'add table inet ambit\ndelete table inet ambit\n');
  });
});

describe('routeBatch()', () => {
  test('adds the rule once, and the route whatever is there', () => {
    assert.equal(
      routeBatch(4, '32764:\tfrom all lookup 7\n'),
      'route replace local 0.0.0.0/0 dev lo table 100\nrule add fwmark 0x111/0xfff pref 32764 lookup 100\n',
    );
    assert.equal(
      routeBatch(6, '32764:\tfrom all fwmark 0x111/0xfff lookup 100\n'),
      'route replace local ::/0 dev lo table 100\n',
    );
  });

  test('has a removal of exactly what it adds', () => {
    assert.equal(
      routeRemovalBatch(6),
      'rule del fwmark 0x111/0xfff pref 32764 lookup 100\nroute del local ::/0 dev lo table 100\n',
    );
  });
});
