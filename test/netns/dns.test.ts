// DNS captured for real: programs in a pod ask any server's port 53, over UDP and TCP, IPv4 and IPv6, and get the mesh's
// answer; everything else reaches the name server they would have had, from the pod's own address.

import assert from 'node:assert/strict';
import type { Socket as UdpSocket } from 'node:dgram';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, Socket, type SocketConstructorOpts } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { decode, encode } from 'dns-packet';
import { type IpPort, isIpv6, parseIp } from '../../mesh/address.ts';
import type { AgentSettings } from '../../node-agent/agent-parts.ts';
import { type Agent, startAgent } from '../../node-agent/app.ts';
import { directorySource } from '../../node-agent/capture/find-netns.ts';
import { netnsCapture } from '../../node-agent/capture/netns.ts';
import { inNetns, openSocket } from '../../node-agent/capture/syscalls.ts';
import {
  askTcp,
  askUdp,
  brief,
  framed,
  onMessages,
  question,
  responseTo,
} from '../../node-agent/test-support/name-server.ts';
import {
  AGENT_SETTINGS,
  createTestCa,
  enrolmentOf,
  HandmadeDiscovery,
  issueFrom,
  memoryLog,
  portOf,
  serviceOf,
  workloadOf,
} from '../../node-agent/test-support/world.ts';
import { systemClock } from '../../runtime/clock.ts';
import { Lan, type Pod } from './lan.ts';
import { enterNamespaces } from './namespaces.ts';

const SETTINGS: AgentSettings = {
  ...AGENT_SETTINGS,
  drainDeadlineMs: 2000,
  leaveGraceMs: 200,
  watchIntervalMs: 200,
};
const NAMES = { name: 'only.upstream', type: 'A' as const, ttl: 9, data: '192.0.2.53' };

if (enterNamespaces(import.meta.filename)) {
  describe('captured DNS', { concurrency: false }, () => {
    const lan = new Lan();
    const discovery = new HandmadeDiscovery();
    const sources: string[] = [];
    const closing: (() => void)[] = [];
    let agent: Agent;
    let server: Pod;
    let client: Pod;

    before(async () => {
      const ca = await createTestCa();
      server = lan.addPod('dns', 'node-b');
      client = lan.addPod('client', 'node-a');
      await nameServer(server);
      const { log } = memoryLog();
      agent = await startAgent(
        {
          clock: systemClock,
          log,
          discovery,
          issue: issueFrom(ca),
          capture: netnsCapture({
            clock: systemClock,
            log,
            sources: [directorySource(lan.podDirectory('node-a'))],
          }),
        },
        {
          ...SETTINGS,
          dns: {
            clusterDomain: 'cluster.local',
            upstream: [{ ip: parseIp(server.v4), port: 53 }],
          },
        },
      );
      discovery.push(
        { kind: 'workload', workload: workloadOf(client) },
        { kind: 'service', service: serviceOf('cart', '10.96.0.7', [portOf(80, 80)]) },
        { kind: 'enrolment', enrolment: enrolmentOf(client) },
      );
      await discovery.reported(client.uid, 'enabled');
    });
    after(async () => {
      await agent.stop();
      for (const close of closing) close();
      lan.close();
    });

    /** A name server in a pod that is not in the mesh; notes the address each question came from. */
    async function nameServer(pod: Pod): Promise<void> {
      const answer = (message: Buffer): Buffer => {
        const packet = decode(message);
        const own = packet.questions?.[0]?.name === NAMES.name;
        return encode(responseTo(packet, own ? { answers: [NAMES] } : { flags: 0x8183 }));
      };
      const udp = udpIn(pod, 'ipv6', { ip: parseIp('::'), port: 53 });
      udp.on('message', (message, peer) => {
        sources.push(`udp ${parseIp(peer.address)}`);
        udp.send(answer(message), peer.port, peer.address);
      });
      const fd = inNetns(pod.netns, () =>
        openSocket({ family: 'ipv6', bind: { ip: parseIp('::'), port: 53 }, backlog: 16 }),
      );
      const tcp = createServer((socket) => {
        sources.push(`tcp ${parseIp(socket.remoteAddress ?? '')}`);
        socket.on('error', () => {});
        onMessages(socket, (message) => socket.write(framed(answer(message))));
      });
      tcp.listen({ fd });
      await once(tcp, 'listening');
      closing.push(() => tcp.close());
    }

    function udpIn(pod: Pod, family: 'ipv4' | 'ipv6', bind?: IpPort): UdpSocket {
      const fd = inNetns(pod.netns, () =>
        openSocket({ kind: 'udp', family, ...(bind === undefined ? {} : { bind }) }),
      );
      const socket = createSocket(family === 'ipv4' ? 'udp4' : 'udp6');
      socket.bind({ fd });
      closing.push(() => socket.close());
      return socket;
    }

    /** As a program in the pod asks: its answer has to come from the address it asked. */
    async function ask(to: string, name: string): Promise<string> {
      const ip = parseIp(to);
      const socket = udpIn(client, isIpv6(ip) ? 'ipv6' : 'ipv4');
      const connected = once(socket, 'connect');
      socket.connect(53, to);
      await connected;
      const answer = once(socket, 'message') as Promise<[Buffer]>;
      socket.send(question(name));
      return brief((await answer)[0]);
    }

    async function askOverTcp(to: string, name: string): Promise<string> {
      const ip = parseIp(to);
      const fd = inNetns(client.netns, () => openSocket({ family: isIpv6(ip) ? 'ipv6' : 'ipv4' }));
      const options: SocketConstructorOpts & { manualStart: boolean } = {
        fd,
        manualStart: true,
        readable: true,
        writable: true,
      };
      const socket = new Socket(options);
      closing.push(() => socket.destroy());
      socket.on('error', () => {});
      const connected = once(socket, 'connect');
      socket.connect({ host: to, port: 53 });
      await connected;
      return brief(await askTcp(socket, question(name)));
    }

    test('a name of the mesh is answered to whichever server it was asked of, in both families', async () => {
      // nobody is at these addresses
      for (const to of ['10.96.0.10', '203.0.113.53', 'fd00:96::a']) {
        assert.equal(await ask(to, 'cart.shop'), 'A 10.96.0.7', to);
        assert.equal(await askOverTcp(to, 'cart.shop'), 'A 10.96.0.7', to);
      }
      assert.deepEqual(sources, []);
    });

    test('another name goes to the name server, from the pod itself', async () => {
      assert.equal(await ask('10.96.0.10', NAMES.name), 'A 192.0.2.53');
      assert.deepEqual(sources.splice(0), [`udp ${client.v4}`]);
      assert.equal(await ask('10.96.0.10', 'nobody.knows'), 'code 3');
      sources.splice(0);
    });

    test('over TCP to the server it was meant for', async () => {
      assert.equal(await askOverTcp(server.v6, NAMES.name), 'A 192.0.2.53');
      assert.deepEqual(sources.splice(0), [`tcp ${client.v6}`]);
    });

    test("a server of the pod's own on its loopback stays the pod's own", async () => {
      const own = udpIn(client, 'ipv4', { ip: parseIp('127.0.0.1'), port: 53 });
      own.on('message', (message, peer) => {
        const packet = decode(message);
        own.send(
          encode(
            responseTo(packet, { answers: [{ ...NAMES, name: 'cart.shop', data: '127.9.9.9' }] }),
          ),
          peer.port,
          peer.address,
        );
      });
      assert.equal(await ask('127.0.0.1', 'cart.shop'), 'A 127.9.9.9');
    });

    test('the door itself, asked without redirection, does not ask itself', async () => {
      const socket = udpIn(client, 'ipv4');
      const answer = await askUdp(
        socket,
        { ip: parseIp('127.0.0.1'), port: 15053 },
        question(NAMES.name),
      );
      assert.equal(brief(answer), 'A 192.0.2.53');
      sources.splice(0);
    });

    test('a pod that leaves asks its name server again by itself', async () => {
      const since = discovery.reports.length;
      discovery.push({ kind: 'enrolment-removed', podUid: client.uid });
      await discovery.reported(client.uid, 'removed', since);
      assert.equal(await ask(server.v4, NAMES.name), 'A 192.0.2.53');
      assert.equal(await ask(server.v4, 'cart.shop'), 'code 3');
    });
  });
}
