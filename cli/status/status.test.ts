import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { KubeClient } from '../../runtime/kubernetes/client.ts';
import { getThroughPod } from '../cluster/pod-http.ts';
import { renderStatus } from '../render/status.ts';
import { plainStyle } from '../render/style.ts';
import { assess } from './assess.ts';
import { readSamples } from './exposition.ts';
import type { Findings } from './report.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');

const healthy: Findings = {
  cliVersion: '0.1.0',
  controlPlaneVersion: '0.1.0',
  controlPlane: { ready: 1, wanted: 1 },
  ca: { ready: 1, wanted: 1 },
  rotation: undefined,
  rootNotAfter: '2035-01-01T00:00:00Z',
  nodes: ['node-1'],
  agents: [
    {
      node: 'node-1',
      pod: 'agent-x',
      version: '0.1.0',
      ready: true,
      connected: true,
      inSync: true,
    },
  ],
  namespaces: [{ name: 'shop', mode: 'ambient', pods: 1, enrolled: 1 }],
  workloads: [
    {
      namespace: 'shop',
      name: 'web',
      node: 'node-1',
      identity: 'spiffe://cluster.local/ns/shop/sa/web',
      protocol: 'hbone',
      redirection: 'enabled',
    },
  ],
  traffic: { mtls: 30, plaintext: 10 },
  waypoints: [
    {
      namespace: 'shop',
      name: 'waypoint',
      kind: 'waypoint',
      for: 'service',
      replicas: 2,
      ready: 2,
      programmed: true,
      message: 'Its proxy serves',
      addresses: ['10.96.0.9'],
      services: 3,
      workloads: 0,
    },
  ],
  problems: [],
};

describe('assess()', () => {
  test('a mesh in which everything answers is healthy, with the share of mTLS connections', () => {
    const report = assess(healthy, NOW);
    assert.equal(report.healthy, true);
    assert.equal(report.mtlsShare, 0.75);
  });

  const cases: readonly (readonly [string, Partial<Findings>, string])[] = [
    ['no control plane', { controlPlane: undefined }, 'NotInstalled'],
    ['no CA replica ready', { ca: { ready: 0, wanted: 2 } }, 'NotReady'],
    ['a root about to end', { rootNotAfter: '2026-01-20T00:00:00Z' }, 'RootExpiresSoon'],
    ['a root that ended', { rootNotAfter: '2025-12-20T00:00:00Z' }, 'RootExpired'],
    ['a node without an agent', { nodes: ['node-1', 'node-2'] }, 'NoAgent'],
    ['an agent not ready', { agents: [{ ...healthy.agents[0]!, ready: false }] }, 'AgentNotReady'],
    [
      'an agent cut off',
      { agents: [{ ...healthy.agents[0]!, connected: false }] },
      'AgentNotConnected',
    ],
    [
      'a waypoint that is not ready',
      { waypoints: [{ ...healthy.waypoints[0]!, programmed: false, ready: 0 }] },
      'WaypointNotReady',
    ],
    ['an agent behind', { agents: [{ ...healthy.agents[0]!, inSync: false }] }, 'AgentNotInSync'],
  ];
  for (const [what, change, reason] of cases) {
    test(`${what} is unhealthy, named ${reason}, with a remedy`, () => {
      const report = assess({ ...healthy, ...change }, NOW);
      assert.equal(report.healthy, false);
      const problem = report.problems.find((candidate) => candidate.reason === reason);
      assert.ok(
        problem !== undefined && problem.remedy.length > 10,
        JSON.stringify(report.problems),
      );
    });
  }

  test('before the first connection there is no share rather than a wrong one', () => {
    assert.equal(
      assess({ ...healthy, traffic: { mtls: 0, plaintext: 0 } }, NOW).mtlsShare,
      undefined,
    );
  });
});

describe('renderStatus()', () => {
  test('shows who is enrolled, with which identity, and the mTLS share, on one screen', () => {
    const text = renderStatus(assess(healthy, NOW), plainStyle);
    for (const part of [
      '1/1 ready',
      'spiffe://cluster.local/ns/shop/sa/web',
      'HBONE',
      'waypoint   service   2/2     yes          3 services',
      '75.0 % mTLS',
      'Healthy',
    ]) {
      assert.ok(text.includes(part), `${part} is missing in:\n${text}`);
    }
    assert.ok(text.split('\n').length < 25);
    assert.ok(!text.includes('\u001b'), 'no escape sequences without a terminal');
  });

  test('says which pods of an enrolled namespace are left alone, and why, and finds nothing wrong with it', () => {
    const [web] = healthy.workloads;
    const alone = { ...web!, protocol: 'tcp', redirection: 'none' } as const;
    const text = renderStatus(
      assess(
        {
          ...healthy,
          namespaces: [{ name: 'shop', mode: 'ambient', pods: 3, enrolled: 1, leftAlone: 2 }],
          workloads: [
            web!,
            { ...alone, name: 'node-exporter', leftAlone: 'host-network' },
            { ...alone, name: 'legacy', leftAlone: 'opted-out' },
          ],
        },
        NOW,
      ),
      plainStyle,
    );
    assert.match(text, /LEFT ALONE +NODE +WHY/);
    assert.match(text, /shop +node-exporter +node-1 +hostNetwork: /);
    assert.match(text, /shop +legacy +node-1 +label ambit-mesh.io\/mode=none/);
    assert.match(text, /Healthy/);
  });

  test('shows each problem with object, reason and remedy', () => {
    const text = renderStatus(
      assess({ ...healthy, controlPlane: { ready: 0, wanted: 1 } }, NOW),
      plainStyle,
    );
    assert.match(text, /1 problem\n {2}NotReady Deployment ambit-system\/ambit-control-plane\n/);
    assert.match(text, /-> See why: kubectl/);
  });
});

describe('readSamples()', () => {
  test('reads labels with escapes and passes over comments and other families', () => {
    const text = '# HELP a b\na{x="1",y="q\\"\\\\\\n"} 3\nb 4\na_total 5\na 6 1700000000\n';
    assert.deepEqual(readSamples(text, new Set(['a'])), [
      { name: 'a', labels: { x: '1', y: 'q"\\\n' }, value: 3 },
      { name: 'a', labels: {}, value: 6 },
    ]);
  });

  test('never throws, whatever the text', () => {
    fc.assert(fc.property(fc.string(), (text) => void readSamples(text, new Set(['a']))));
  });
});

describe('getThroughPod()', () => {
  for (const [what, answer, expected] of [
    ['a 200 answer', 'HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody', 'body'],
    ['another status', 'HTTP/1.1 500 Oh\r\n\r\nx', /the answer is "HTTP\/1.1 500 Oh"/],
    ['no answer at all', '', /ended without an answer/],
    ['something that is not HTTP', 'SSH-2.0', /not HTTP/],
  ] as const) {
    test(`${what} gives ${typeof expected === 'string' ? 'its body' : 'a clear error'}`, async () => {
      const server = createServer((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => socket.end(answer));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const port = (server.address() as { port: number }).port;
      const client = {
        portForward: () => Promise.resolve(connect(port, '127.0.0.1')),
      } as unknown as KubeClient;
      try {
        const got = getThroughPod(client, { namespace: 'n', pod: 'p', port: 1, path: '/x' });
        if (typeof expected === 'string') assert.equal(await got, expected);
        else await assert.rejects(got, expected);
      } finally {
        server.close();
      }
    });
  }
});
