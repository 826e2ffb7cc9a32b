// Trust domains: which names are ours, whose roots stand behind whom, and that no authority can speak for another.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { parseIdentity } from '../mesh/identity.ts';
import { credentialsOf } from './contexts.ts';
import { createTestCa, type TestCa } from './test-ca.ts';
import { type Acquainted, acquaint, CLIENT, rejection, SERVER, withPeers } from './test-peers.ts';
import { OWN_TRUST, type Trust } from './trust.ts';

const STRANGER = parseIdentity('spiffe://partner.example/ns/shop/sa/client');

let known: Acquainted;
let partner: TestCa;
before(async () => {
  known = await acquaint();
  partner = await createTestCa();
});

function trusting(trust: Partial<Trust>): Parameters<typeof withPeers>[2] {
  return { server: credentialsOf(known.server.svid, { ...OWN_TRUST, ...trust }) };
}

function partners(): Partial<Trust> {
  return { bundles: new Map([['partner.example', [partner.rootPem]]]) };
}

/** The partner's workload, believing in us too. */
async function partnersOwn(identity = STRANGER): ReturnType<TestCa['credentials']> {
  return credentialsOf(await partner.svid(identity), {
    ...OWN_TRUST,
    bundles: new Map([['cluster.local', [known.ca.rootPem]]]),
  });
}

describe('a peer', () => {
  test('of another trust domain is let in under that domain’s own roots', async () => {
    await withPeers(
      known,
      async ({ connect, requests }) => {
        const tunnel = await connect(await partnersOwn());
        await tunnel.open({ authority: 'a:1', fields: {} });
        assert.deepEqual(requests[0]?.peer, STRANGER);
      },
      trusting(partners()),
    );
  });

  test('that another domain’s authority calls ours is refused', async () => {
    await withPeers(
      known,
      async ({ connect, denied }) => {
        await rejection(connect(await partnersOwn(CLIENT)));
        assert.equal(denied[0]?.error.code, 'PEER_IDENTITY_MISMATCH');
        assert.match(denied[0].error.message, /no root of cluster\.local/);
      },
      trusting(partners()),
    );
  });

  test('that our authority calls another domain’s is refused', async () => {
    await withPeers(
      known,
      async ({ connect, denied }) => {
        await rejection(connect(await known.ca.credentials(STRANGER)));
        assert.match(denied[0]?.error.message ?? '', /no root of partner\.example/);
      },
      trusting(partners()),
    );
  });

  test('that another domain’s authority calls ours is not believed when it answers', async () => {
    const server = credentialsOf(await partner.svid(SERVER), {
      ...OWN_TRUST,
      bundles: new Map([['cluster.local', [known.ca.rootPem]]]),
    });
    await withPeers(
      known,
      async ({ connect }) => {
        const client = credentialsOf(known.client.svid, { ...OWN_TRUST, ...partners() });
        assert.equal((await rejection(connect(client))).code, 'PEER_IDENTITY_MISMATCH');
      },
      { server },
    );
  });

  test('under an alias of our trust domain is one of ours, asking and answering', async () => {
    const old = parseIdentity('spiffe://old.example/ns/shop/sa/server');
    const trust = { ...OWN_TRUST, aliases: ['old.example'] };
    await withPeers(
      known,
      async ({ connect }) => {
        const client = credentialsOf(
          await known.ca.svid({ ...CLIENT, trustDomain: 'old.example' }),
        );
        assert.deepEqual((await connect(client, [old])).peer, old);
        // expected under our name, found under the alias; never another account
        const aware = credentialsOf(known.client.svid, trust);
        assert.deepEqual((await connect(aware, [SERVER])).peer, old);
        assert.equal((await rejection(connect(aware, [CLIENT]))).code, 'PEER_IDENTITY_MISMATCH');
      },
      {
        server: credentialsOf(await known.ca.svid(old), {
          ...OWN_TRUST,
          aliases: ['cluster.local'],
        }),
      },
    );
  });

  test('comes with intermediates of its own', async () => {
    const middle = await (await known.ca.intermediate()).intermediate();
    await withPeers(known, async ({ connect }) => {
      assert.equal((await connect(await middle.credentials(CLIENT))).available, true);
    });
  });

  test('comes with intermediates that are in the bundle, when domains are told apart', async () => {
    const middle = await partner.intermediate();
    const stranger = credentialsOf(await middle.svid(STRANGER), {
      ...OWN_TRUST,
      bundles: new Map([['cluster.local', [known.ca.rootPem]]]),
    });
    const whole = new Map([['partner.example', [partner.rootPem + middle.certificatePem]]]);
    await withPeers(
      known,
      async ({ connect, acceptor, denied }) => {
        assert.equal((await connect(stranger)).available, true);
        acceptor.replace(credentialsOf(known.server.svid, { ...OWN_TRUST, ...partners() }));
        await rejection(connect(stranger));
        assert.match(denied[0]?.error.message ?? '', /no root of partner\.example/);
      },
      trusting({ bundles: whole }),
    );
  });

  test('is let in under the old root and the new one while both are believed', async () => {
    const renewed = await createTestCa();
    const bundles = new Map([['cluster.local', [known.ca.rootPem, renewed.rootPem]]]);
    const fresh = credentialsOf(await renewed.svid(CLIENT), { ...OWN_TRUST, bundles });
    await withPeers(
      known,
      async ({ connect, denied, acceptor }) => {
        assert.equal((await connect(fresh)).available, true);
        assert.equal((await connect()).available, true);
        acceptor.replace(credentialsOf(known.server.svid));
        await rejection(connect(fresh));
        assert.equal(denied[0]?.error.code, 'TLS_FAILURE');
      },
      trusting({ bundles }),
    );
  });
});
