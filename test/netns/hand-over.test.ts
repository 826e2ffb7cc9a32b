// Agents replaced under load, in real network namespaces: the new one listens before the old one leaves. No new connection
// is refused, open ones end by themselves within the grace, and what is cut is counted and named.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { AgentSettings } from '../../node-agent/agent-parts.ts';
import { type Agent, startAgent } from '../../node-agent/app.ts';
import { directorySource } from '../../node-agent/capture/find-netns.ts';
import { netnsCapture } from '../../node-agent/capture/netns.ts';
import {
  AGENT_SETTINGS,
  createTestCa,
  enrolmentOf,
  HandmadeDiscovery,
  issueFrom,
  memoryLog,
  type TestCa,
  workloadOf,
} from '../../node-agent/test-support/world.ts';
import { systemClock } from '../../runtime/clock.ts';
import { ask, echo, fate, text } from '../../tunnel/test-sockets.ts';
import { Lan, type NodeName, type Pod } from './lan.ts';
import { enterNamespaces } from './namespaces.ts';

const SETTINGS: AgentSettings = {
  ...AGENT_SETTINGS,
  drainDeadlineMs: 20_000,
  leaveGraceMs: 200,
  watchIntervalMs: 200,
};

type Node = { agent: Agent; discovery: HandmadeDiscovery; lines: Record<string, unknown>[] };

if (enterNamespaces(import.meta.filename)) {
  describe('an agent that is replaced', () => {
    let lan: Lan;
    let ca: TestCa;
    const running = new Set<Agent>();
    before(async () => {
      lan = new Lan();
      ca = await createTestCa();
    });
    after(async () => {
      await Promise.all([...running].map((agent) => agent.stop()));
      lan.close();
    });

    async function start(name: NodeName, pods: readonly Pod[], settings = SETTINGS): Promise<Node> {
      const { log, lines } = memoryLog();
      const discovery = new HandmadeDiscovery();
      for (const pod of pods) {
        discovery.push({ kind: 'workload', workload: workloadOf(pod) });
        if (pod.node === name) discovery.push({ kind: 'enrolment', enrolment: enrolmentOf(pod) });
      }
      const sources = [directorySource(lan.podDirectory(name))];
      const capture = netnsCapture({ clock: systemClock, log, sources });
      const parts = { clock: systemClock, log, discovery, issue: issueFrom(ca), capture };
      const agent = await startAgent(parts, settings);
      running.add(agent);
      for (const pod of pods) {
        if (pod.node === name) await discovery.reported(pod.uid, 'enabled');
      }
      return { agent, discovery, lines };
    }

    async function stop(agent: Agent): Promise<void> {
      await agent.stop();
      running.delete(agent);
    }

    function pods(): { client: Pod; server: Pod; both: Pod[] } {
      const client = lan.addPod('client', 'node-a');
      const server = lan.addPod('server', 'node-b');
      return { client, server, both: [client, server] };
    }

    test('refuses no new connection and cuts no open one, at either end of the tunnel, time after time', async () => {
      const { client, server, both } = pods();
      await lan.serve(server, 8080, echo);
      let near = await start('node-a', both);
      let far = await start('node-b', both);
      let going = true;
      let made = 0;
      const keepConnecting = async (family: 'v4' | 'v6'): Promise<void> => {
        while (going) {
          const socket = await lan.connect(client, server[family], 8080);
          socket.end(`new ${made}`);
          assert.match(await text(socket), /^new /);
          made++;
        }
      };
      const load = Promise.all((['v4', 'v6', 'v4', 'v6', 'v4', 'v6'] as const).map(keepConnecting));
      for (let round = 0; round < 3; round++) {
        for (const name of ['node-a', 'node-b'] as const) {
          const held = await Promise.all(
            Array.from({ length: 20 }, () => lan.connect(client, server.v4, 8080)),
          );
          for (const socket of held) assert.equal(await ask(socket, 'mine'), 'mine');
          const young = await start(name, both);
          const stopped = stop(name === 'node-a' ? near.agent : far.agent);
          if (name === 'node-a') near = young;
          else far = young;
          // some connections while the old one's doors are still open, and some after
          const before = made;
          while (made < before + 30) await Promise.race([load, turn()]);
          for (const socket of held) {
            assert.equal(await ask(socket, 'still'), 'still');
            socket.end();
          }
          await Promise.all(held.map((socket) => text(socket)));
          await stopped;
        }
      }
      going = false;
      await load;
      assert.ok(made > 150, `${made} connections were made meanwhile`);
      await Promise.all([stop(near.agent), stop(far.agent)]);
    });

    test('says nothing of its pods and leaves their rules: they are the next agent’s', async () => {
      const { client, server, both } = pods();
      const { agent, discovery } = await start('node-a', both);
      const far = await start('node-b', both);
      const said = discovery.reports.length;
      await stop(agent);
      assert.deepEqual(discovery.reports.slice(said), []);
      assert.match(await lan.ruleset(client), /capturing/);
      await assert.rejects(lan.connect(client, server.v4, 8080), { code: 'ECONNREFUSED' });
      await stop(far.agent);
    });

    for (const side of ['near', 'far'] as const) {
      test(`cuts what is still open at its deadline, names it and counts it: at the ${side} end`, async () => {
        const { client, server, both } = pods();
        await lan.serve(server, 8080, echo);
        const short = { ...SETTINGS, drainDeadlineMs: 300 };
        const near = await start('node-a', both, side === 'near' ? short : SETTINGS);
        const far = await start('node-b', both, side === 'far' ? short : SETTINGS);
        const [leaving, other] = side === 'near' ? [near, far] : [far, near];
        const socket = await lan.connect(client, server.v4, 8080);
        assert.equal(await ask(socket, 'a'), 'a');
        const ended = fate(socket);
        await stop(leaving.agent);
        assert.equal(await ended, 'ECONNRESET');
        const line = leaving.lines.find((one) => one['message'] === 'connection complete');
        assert.equal(line?.['flag'], 'DRAIN');
        assert.match(String(line?.['error']), /the node agent stopped/);
        const metrics = await leaving.agent.metrics.text();
        assert.match(metrics, /^ambit_connections_cut_total\{reason="DRAIN_DEADLINE"\} 1$/m);
        await stop(other.agent);
      });
    }
  });
}
