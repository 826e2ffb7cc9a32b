// Trust in motion between two real agents over loopback: a root is rotated under traffic, and a revoked peer loses the
// tunnels it has. Loopback capture, real TLS, discovery and CA by hand.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { TrustBundle } from '../mesh/trust.ts';
import { bundleId, fingerprintOf } from '../runtime/trust.ts';
import type { Svid } from '../tunnel/contexts.ts';
import { createTestCa, type TestCa } from '../tunnel/test-ca.ts';
import { echo } from '../tunnel/test-sockets.ts';
import { LoopbackNodes, listen, type Node as Started } from './test-support/loopback-nodes.ts';
import {
  type HandmadeDiscovery,
  issueFrom,
  type PodSpec,
  workloadOf,
} from './test-support/world.ts';

type Node = Started & {
  readonly pod: PodSpec;
  /** What the node's CA signs with. */
  signer: TestCa;
  /** Leaves it was given, newest last. */
  readonly leaves: string[];
};

let [old, next]: TestCa[] = [];
let nodes: LoopbackNodes;
before(async () => {
  nodes = await LoopbackNodes.open();
  [old, next] = [nodes.ca, await createTestCa()];
});
after(() => nodes.close());

async function startNode(name: string): Promise<Node> {
  const leaves: string[] = [];
  const signing = { signer: old! };
  const started = await nodes.start({
    issue: async (...asked) => {
      const answer = await issueFrom(signing.signer)(...asked);
      leaves.push(answer.chain[0] ?? '');
      return answer;
    },
  });
  return Object.assign(signing, { ...started, pod: nodes.pod(name), leaves });
}

/** `use` with a client's and a server's node, both enrolled; the server echoes on port 8080. */
async function withNodes(use: (client: Node, server: Node) => Promise<void>): Promise<void> {
  const [client, server] = await Promise.all([startNode('client'), startNode('server')]);
  const listener = await listen(server.pod.addresses[0]!, 8080, echo);
  try {
    for (const node of [client, server]) {
      node.discovery.push(
        { kind: 'workload', workload: workloadOf(client.pod) },
        { kind: 'workload', workload: workloadOf(server.pod) },
      );
      await nodes.enrol(node, node.pod);
    }
    await use(client, server);
  } finally {
    await Promise.all([client.agent.stop(), server.agent.stop()]);
    listener.close();
  }
}

/** A connection of the client's application to the server's. */
function dial(client: Node, server: Node): Promise<Socket> {
  return nodes.connectFrom(client.pod, server.pod.addresses[0]!, 8080);
}

/** True when what is said comes back; false when the connection ends instead. */
async function echoes(socket: Socket): Promise<boolean> {
  const word = randomUUID();
  const answer = new Promise<boolean>((resolve) => {
    socket.once('data', (data) => resolve(String(data) === word));
    socket.once('close', () => resolve(false));
  });
  socket.write(word);
  return answer;
}

function push(node: Node, bundle: Partial<TrustBundle>): void {
  const nothing = { aliases: [], retiring: [], renewWithinMs: 0, crls: [] };
  const whole = { trustDomain: 'cluster.local', roots: [], ...nothing, ...bundle };
  node.discovery.push({ kind: 'trust', bundle: whole });
}

/** The first report of the node that holds. */
async function reported(
  { discovery }: Node,
  holds: (report: HandmadeDiscovery['trustReports'][number]) => boolean,
): Promise<void> {
  while (!discovery.trustReports.some(holds)) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a root that is rotated', () => {
  test('is believed, signs and leaves without a failed or cut connection, node after node', async () => {
    await withNodes(async (client, server) => {
      const nodes = [client, server];
      const roots = [old!.rootPem, next!.rootPem];
      const gone = fingerprintOf(old!.rootPem);
      const whole = await dial(client, server);
      assert.ok(await echoes(whole));
      /** A step on one node after the other; traffic flows between and after. */
      const step = async (
        take: (node: Node) => void,
        done: Parameters<typeof reported>[1],
      ): Promise<void> => {
        for (const node of nodes) {
          take(node);
          await reported(node, done);
          const fresh = await dial(client, server);
          assert.ok(await echoes(fresh), 'a new connection');
          fresh.destroy();
          assert.ok(await echoes(whole), 'the one that was there all the time');
        }
      };
      await step(
        (node) => push(node, { roots }),
        ({ bundle }) => bundle === bundleId(roots),
      );
      for (const node of nodes) node.signer = next!;
      await step(
        (node) => push(node, { roots, retiring: [gone] }),
        ({ retiring, rootsInUse }) => retiring.includes(gone) && !rootsInUse.includes(gone),
      );
      await step(
        (node) => push(node, { roots: [next!.rootPem] }),
        ({ bundle }) => bundle === bundleId([next!.rootPem]),
      );
      whole.destroy();
    });
  });
});

describe('a peer that is revoked', () => {
  for (const whose of ['server', 'client'] as const) {
    test(`loses the connections it has, and gets no new one: the ${whose}`, async () => {
      await withNodes(async (client, server) => {
        const [subject, other] = whose === 'server' ? [server, client] : [client, server];
        const socket = await dial(client, server);
        assert.ok(await echoes(socket));
        const ended = new Promise((resolve) => socket.once('close', resolve));
        const leaf = { chainPem: subject.leaves.at(-1) ?? '' } as Svid;
        push(other, { roots: [old!.rootPem], crls: [await old!.crl([leaf])] });
        await ended;
        const again = await dial(client, server);
        assert.equal(await echoes(again), false);
        const why = (line: Record<string, unknown>): boolean =>
          JSON.stringify(line).includes('is revoked');
        assert.ok(other.lines.some(why), 'the log says why');
      });
    });
  }

  test('of another certificate does not matter to those that stay', async () => {
    await withNodes(async (client, server) => {
      const socket = await dial(client, server);
      assert.ok(await echoes(socket));
      const stranger = await old!.svid('spiffe://cluster.local/ns/shop/sa/stranger');
      const bundle = { roots: [old!.rootPem], crls: [await old!.crl([stranger])] };
      for (const node of [client, server]) {
        push(node, bundle);
        await reported(node, ({ bundle: id }) => id === bundleId([old!.rootPem]));
      }
      assert.ok(await echoes(socket));
      socket.destroy();
    });
  });
});
