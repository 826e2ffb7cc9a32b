// Joining and leaving the mesh under traffic: nothing is lost, everything is encrypted meanwhile, nothing stays behind.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { getThroughPod } from '../../cli/cluster/pod-http.ts';
import type { Pod } from '../../runtime/kubernetes/objects.ts';
import { PODS } from '../../runtime/kubernetes/resources.ts';
import {
  allEncrypted,
  labelNamespace,
  MODE,
  podIps,
  podWhere,
  REDIRECTION,
  redirectionOfAll,
} from '../support/enrolled.ts';
import { type Sandbox, sandboxSuite } from '../support/sandbox.ts';
import {
  type Counts,
  call,
  endPod,
  faultsOf,
  openEchoes,
  startPod,
  tallyWhen,
} from '../support/traffic.ts';

const TALK = 'talk';
const LOAD = { namespace: TALK, name: 'load' };
const CLIENT = { namespace: TALK, name: 'client' };
const CONNECTIONS = 50;
const RATE = 20;
const TLS_1_3 = 0x0304;

sandboxSuite('joining and leaving the mesh', (sandbox) => {
  test('under 50 open connections and constant load, joining, leaving and joining again lose nothing', async () => {
    await openEchoes(sandbox(), TALK);
    await startPod(sandbox(), {
      ...LOAD,
      image: 'load',
      variables: {
        URL: `http://echo.${TALK}.svc.cluster.local:8080/`,
        RATE: String(RATE),
        LINE_HOST: `echo.${TALK}.svc.cluster.local`,
        CONNECTIONS: String(CONNECTIONS),
      },
    });
    const before = await tallyWhen(
      sandbox(),
      LOAD,
      ({ connections, requests }) => connections.opened === CONNECTIONS && requests.ok > RATE,
    );
    const pods = await podLives(sandbox());
    let last = before;
    for (const verb of ['add', 'remove', 'add']) {
      const { code, stderr } = await sandbox().ambit('namespace', verb, TALK);
      assert.equal(code, 0, stderr);
      await redirectionOfAll(sandbox(), TALK, verb === 'add' ? 'enabled' : undefined);
      last = await wentOn(sandbox(), last);
      if (hasLosses(last)) {
        const faults = await faultsOf(sandbox(), LOAD);
        assert.deepEqual(losses(last), NO_LOSSES, `${JSON.stringify(last)}:\n${faults}`);
      }
      // the same 50 as before the label: none was replaced, none ended
      assert.equal(last.connections.opened, CONNECTIONS);
    }
    assert.deepEqual(await podLives(sandbox()), pods);
    const { stdout } = await sandbox().ambit('status');
    assert.match(stdout, /talk/);
  });

  test('an enrolled namespace: once old connections are gone the link carries TLS 1.3 on port 15008 and nothing else', async () => {
    await endPod(sandbox(), TALK, LOAD.name);
    await startPod(sandbox(), {
      ...CLIENT,
      image: 'load',
      variables: {
        URL: `http://echo.${TALK}.svc.cluster.local:8080/`,
        LINE_HOST: `echo.${TALK}.svc.cluster.local`,
        CONNECTIONS: '10',
        LIFETIME: '1s',
      },
    });
    await redirectionOfAll(sandbox(), TALK, 'enabled');
    const ips = await podIps(sandbox(), TALK);
    const evidence = await allEncrypted(sandbox(), ips);
    assert.ok(evidence.tunnelSegments > 0);
    for (const version of evidence.handshakes.keys()) assert.equal(version, TLS_1_3);
  });

  test('an enrolled server sees its caller by its own address, over IPv4 and IPv6', async () => {
    const client = await podWhere(sandbox(), CLIENT, () => true);
    const own = new Set((client.status?.podIPs ?? []).map(({ ip }) => ip));
    for (const server of await echoes(sandbox())) {
      for (const { ip } of server.status?.podIPs ?? []) {
        const host = ip.includes(':') ? `[${ip}]` : ip;
        for (const url of [`http://${host}:8080/hello`, `tcp://${host}:9090`]) {
          const { ok, answer, error } = await call(sandbox(), CLIENT, url);
          assert.ok(ok, `${url}: ${error}`);
          assert.equal(answer?.pod, server.metadata.name);
          const peer = answer?.peer.replace(/:\d+$/, '').replace(/^\[|\]$/g, '') ?? '';
          assert.ok(own.has(peer), `${url} was called by ${peer}, expected one of ${[...own]}`);
        }
      }
    }
  });

  test("the agent's access log names both identities, its metrics say mutual TLS", async () => {
    const client = await podWhere(sandbox(), CLIENT, () => true);
    const server = (await echoes(sandbox())).find(
      ({ spec }) => spec.nodeName !== client.spec.nodeName,
    )!;
    const agent = await agentOn(sandbox(), server.spec.nodeName);
    const address = `${server.status?.podIP}:8080`;
    const { ok, error } = await call(sandbox(), CLIENT, `http://${address}/`);
    assert.ok(ok, error);
    const fields = await sandbox().logLine(agent, (text) => {
      const line = JSON.parse(text) as Record<string, unknown>;
      const isIt = line['direction'] === 'inbound' && line['dst.hbone_addr'] === address;
      return isIt && line['src.workload'] === CLIENT.name ? line : undefined;
    });
    const identity = `spiffe://cluster.local/ns/${TALK}/sa/default`;
    assert.equal(fields['src.identity'], identity);
    assert.equal(fields['dst.identity'], identity);
    assert.equal(fields['dst.workload'], server.metadata.name);

    const metrics = await getThroughPod(sandbox().client, {
      namespace: agent.namespace,
      pod: agent.name,
      port: 15020,
      path: '/metrics',
    });
    const opened = metrics
      .split('\n')
      .filter(
        (sample) =>
          sample.startsWith('istio_tcp_connections_opened_total{') &&
          sample.includes('reporter="destination"') &&
          sample.includes(`source_principal="${identity}"`),
      );
    assert.ok(opened.length > 0, metrics.slice(0, 2000));
    for (const sample of opened) {
      assert.match(sample, /connection_security_policy="mutual_tls"/);
    }
  });

  test('a pod labelled none is left out and comes back; the others stay in', async () => {
    const [left, stays] = await echoes(sandbox());
    const label = (mode: string | null): Promise<Pod> =>
      sandbox().client.patch(PODS, left!.metadata.name!, TALK, {
        metadata: { labels: { [MODE]: mode } },
      });
    const name = { namespace: TALK, name: left!.metadata.name! };
    const says = (state: string | undefined) => (pod: Pod) =>
      pod.metadata.annotations?.[REDIRECTION] === state;
    await label('none');
    await podWhere(sandbox(), name, says(undefined));
    assert.ok((await call(sandbox(), CLIENT, `http://${left!.status!.podIP}:8080/`)).ok);
    const other = { namespace: TALK, name: stays!.metadata.name! };
    assert.ok(says('enabled')(await podWhere(sandbox(), other, () => true)));
    await label(null);
    await podWhere(sandbox(), name, says('enabled'));
  });

  test('after leaving, no rule, route, listener or annotation of ours is left in a pod', async (t) => {
    await labelNamespace(sandbox(), TALK, null);
    await redirectionOfAll(sandbox(), TALK, undefined);
    if (sandbox().mode === 'loopback') {
      t.diagnostic('rules and routes are not looked at: there are none in loopback mode');
      return;
    }
    const { items } = await sandbox().client.list<Pod>(PODS, { namespace: TALK });
    for (const { metadata } of items) {
      assert.equal(await tracesGone(sandbox(), { namespace: TALK, name: metadata.name! }), '');
    }
  });
});

const NO_LOSSES = { failed: 0, ended: 0, dropped: 0, refused: 0, wrong: 0 };

function losses({ requests, connections, messages }: Counts): typeof NO_LOSSES {
  const { ended, dropped, refused } = connections;
  return { failed: requests.failed, ended, dropped, refused, wrong: messages.wrong };
}

function hasLosses(counts: Counts): boolean {
  return !isDeepStrictEqual(losses(counts), NO_LOSSES);
}

/** Two seconds' worth of requests later, each connection having spoken ten times, or something lost. */
function wentOn(sandbox: Sandbox, since: Counts): Promise<Counts> {
  return tallyWhen(sandbox, LOAD, (tally) => {
    const requests = tally.requests.ok - since.requests.ok;
    const echoed = tally.messages.echoed - since.messages.echoed;
    return hasLosses(tally) || (requests > 2 * RATE && echoed > 10 * CONNECTIONS);
  });
}

async function podLives(sandbox: Sandbox): Promise<ReadonlyMap<string, number>> {
  const { items } = await sandbox.client.list<Pod>(PODS, { namespace: TALK });
  return new Map(
    items.map(({ metadata, status }) => [
      metadata.uid!,
      (status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0),
    ]),
  );
}

async function echoes(sandbox: Sandbox): Promise<readonly Pod[]> {
  const where = { namespace: TALK, labelSelector: 'app=echo' };
  return (await sandbox.client.list<Pod>(PODS, where)).items;
}

async function agentOn(
  sandbox: Sandbox,
  node: string | undefined,
): Promise<{ namespace: string; name: string }> {
  const namespace = 'ambit-system';
  const labelSelector = 'app.kubernetes.io/name=ambit-node-agent';
  const { items } = await sandbox.client.list<Pod>(PODS, { namespace, labelSelector });
  return { namespace, name: items.find(({ spec }) => spec.nodeName === node)!.metadata.name! };
}

const TRACES = `
  nft list tables | grep ambit
  ip -4 rule show pref 32764; ip -6 rule show pref 32764
  ip -4 route show table 100 2> /dev/null; ip -6 route show table 100 2> /dev/null
  ss -Hltn | grep -E ':(15001|15006|15008) '
  true`;
const TRACES_TIMEOUT_MS = 30_000;

/** The annotation goes when the doors are closed; rules go when the last captured connection has ended. */
async function tracesGone(
  sandbox: Sandbox,
  pod: { namespace: string; name: string },
): Promise<string> {
  for (const end = performance.now() + TRACES_TIMEOUT_MS; ; ) {
    const { stdout, stderr } = await sandbox.exec(pod, ['sh', '-c', TRACES]);
    if (stderr !== '') throw new Error(`Cannot look for traces in ${pod.name}: ${stderr}`);
    if (stdout === '' || performance.now() > end) return stdout;
  }
}
