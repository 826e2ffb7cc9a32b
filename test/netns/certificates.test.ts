// Certificates under real capture: an agent has a pod's before the pod says anything and forgets it with the pod, and a
// peer whose certificate is revoked loses what it has and gets nothing new, whichever end of the tunnel it is.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { formatIdentity } from '../../mesh/identity.ts';
import { identityOf } from '../../node-agent/test-support/world.ts';
import type { Svid } from '../../tunnel/contexts.ts';
import { ask, echo, fate } from '../../tunnel/test-sockets.ts';
import type { IdentityDump } from '../../wire/config-dump.ts';
import { type Node, turn } from './cluster.ts';
import type { Pod } from './lan.ts';
import { enterNamespaces } from './namespaces.ts';
import { Stage } from './stage.ts';

if (enterNamespaces(import.meta.filename)) {
  describe('certificates, in network namespaces', () => {
    let stage: Stage;
    before(async () => {
      stage = await Stage.open();
    });
    after(() => stage.close());

    /** What the agent of the pod's node holds for it, as its admin door shows it. */
    async function held(pod: Pod): Promise<IdentityDump | undefined> {
      const all = await heldBy(stage.cluster.node(pod));
      return all.find(({ identity }) => identity === formatIdentity(identityOf(pod)));
    }

    async function heldBy({ agent }: Node): Promise<IdentityDump[]> {
      const answer = await fetch(`http://127.0.0.1:${agent.ports.admin}/certificates`);
      return (await answer.json()) as IdentityDump[];
    }

    async function leafOf(pod: Pod): Promise<IdentityDump['certChain'][number]> {
      const [leaf] = (await held(pod))?.certChain ?? [];
      assert.ok(leaf, `a certificate of ${pod.name}`);
      return leaf;
    }

    test('are there before a pod’s first connection, forgotten with the pod, and made anew when it is back', async () => {
      const pod = stage.pod('early', 'node-a');
      assert.equal(await held(pod), undefined);
      await stage.cluster.enrol(pod);
      const first = await leafOf(pod);
      await stage.cluster.leave(pod);
      while ((await held(pod)) !== undefined) await turn();
      await stage.cluster.enrol(pod);
      assert.notEqual((await leafOf(pod)).serialNumber, first.serialNumber);
    });

    for (const whose of ['server', 'client'] as const) {
      test(`of the ${whose} revoked: the other end cuts what is open, lets in nothing new, and spares all others`, async () => {
        const client = await stage.enrolled('client', 'node-a');
        const server = await stage.enrolled('server', 'node-b');
        const other = await stage.enrolled('other', whose === 'server' ? 'node-b' : 'node-a');
        for (const pod of [server, other]) await stage.lan.serve(pod, 8080, echo);
        const [subject, judge] = whose === 'server' ? [server, client] : [client, server];
        const open = await stage.lan.connect(client, server.v4, 8080);
        assert.equal(await ask(open, 'open'), 'open');
        const [from, to] = whose === 'server' ? [client, other] : [other, server];
        const spared = await stage.lan.connect(from, to.v4, 8080);
        assert.equal(await ask(spared, 'spared'), 'spared');

        const cut = fate(open);
        const { pem } = await leafOf(subject);
        const chainPem = Buffer.from(pem, 'base64').toString();
        await revoke(judge, [await stage.ca.crl([{ chainPem } as Svid])]);
        assert.equal(await cut, 'ECONNRESET');
        assert.equal(await stage.ending(client, server.v4, 8080), 'ECONNRESET');
        assert.equal(await ask(spared, 'still'), 'still');
        const told = await stage.lineOf(judge, {
          direction: whose === 'server' ? 'outbound' : 'inbound',
          flag: 'CERT_REVOKED',
        });
        assert.match(String(told['error']), /serial number .* is revoked/);
        const { agent } = stage.cluster.node(judge);
        const counted = (await agent.metrics.text())
          .split('\n')
          .filter((line) => /^ambit_tunnels_lost_total\{.*CERT_REVOKED/.test(line));
        assert.equal(counted.length, 1, 'the lost tunnel is counted');

        // a list that does not name it any more: nothing is remembered against it
        await revoke(judge, []);
        const again = await stage.lan.connect(client, server.v4, 8080);
        assert.equal(await ask(again, 'again'), 'again');
      });
    }

    /** The pod's agent believes these lists; resolves when each of its certificates is used with them. */
    async function revoke(pod: Pod, crls: readonly string[]): Promise<void> {
      const node = stage.cluster.node(pod);
      const nothing = { aliases: [], retiring: [], renewWithinMs: 0 };
      const roots = [stage.ca.rootPem];
      node.discovery.push({
        kind: 'trust',
        bundle: { trustDomain: 'cluster.local', roots, crls, ...nothing },
      });
      // one takes the change a turn
      for (const _ of await heldBy(node)) await turn();
    }
  });
}
