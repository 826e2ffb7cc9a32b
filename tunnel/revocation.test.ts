// Revocation: lists read from PEM and DER, what they say about a certificate's path, and what happens to tunnels.

import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import { type Credentials, credentialsOf, type Svid } from './contexts.ts';
import { readCrls } from './crl.ts';
import { indexRevocations, NO_REVOCATIONS, type Revocations } from './revocation.ts';
import { createTestCa, type TestCa } from './test-ca.ts';
import {
  type Acquainted,
  acquaint,
  CLIENT,
  closed,
  HEAD,
  rejection,
  SERVER,
  withPeers,
} from './test-peers.ts';
import { certificatesIn, OWN_TRUST } from './trust.ts';
import type { TunnelStream } from './tunnel.ts';

let ca: TestCa;
let intermediate: TestCa;
let leaf: Svid;
let below: Svid;
before(async () => {
  ca = await createTestCa();
  intermediate = await ca.intermediate();
  leaf = await ca.svid(CLIENT);
  below = await intermediate.svid(CLIENT);
});

async function listed(by: TestCa, revoked: readonly (Svid | TestCa)[]): Promise<Revocations> {
  return indexRevocations(readCrls(Buffer.from(await by.crl(revoked))));
}

function pathOf(svid: Svid): X509Certificate[] {
  return certificatesIn([svid.chainPem, ...svid.roots].join(''));
}

describe('readCrls()', () => {
  test('reads several PEM lists one after the other, and one in DER', async () => {
    const first = await ca.crl([leaf, below]);
    const second = await intermediate.crl([]);
    const lists = readCrls(Buffer.from(`${first}\n${second}`));
    assert.deepEqual(
      lists.map(({ serials }) => serials.size),
      [2, 0],
    );
    const der = Buffer.from(first.replace(/-----.*-----|\s/g, ''), 'base64');
    assert.deepEqual(readCrls(der), lists.slice(0, 1));
  });

  test('reads an empty file as no list', () => {
    assert.deepEqual(readCrls(Buffer.from(' \n')), []);
  });

  test('refuses a file with anything else in it', async () => {
    const crl = await ca.crl([leaf]);
    const bad = [`${crl}${ca.rootPem}`, 'not a list', crl.replace('END', 'ENT'), leaf.chainPem];
    for (const content of bad) {
      assert.throws(() => readCrls(Buffer.from(content)), SyntaxError);
    }
  });

  test('answers any damage with lists or a SyntaxError, never otherwise (property)', async () => {
    const pem = await ca.crl([leaf, below]);
    const der = Buffer.from(pem.replace(/-----.*-----|\s/g, ''), 'base64');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(der.length - 1), fc.nat(255)), { maxLength: 8 }),
        fc.nat(der.length),
        (changes, length) => {
          const damaged = Uint8Array.from(der);
          for (const [at, value] of changes) damaged[at] = value;
          try {
            readCrls(damaged.subarray(0, length));
          } catch (error) {
            assert.ok(error instanceof SyntaxError, String(error));
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('a certificate', () => {
  test('that its issuer names is revoked, leaf or intermediate', async () => {
    const found = (await listed(ca, [leaf])).find(pathOf(leaf));
    assert.equal(found?.place, 'leaf');
    assert.equal(found.serial, pathOf(leaf)[0]?.serialNumber);
    assert.equal((await listed(ca, [intermediate])).find(pathOf(below))?.place, 'intermediate');
    assert.equal((await listed(intermediate, [below])).find(pathOf(below))?.place, 'leaf');
  });

  test('that no list names is accepted: its issuer has none, or names others', async () => {
    assert.equal(NO_REVOCATIONS.find(pathOf(leaf)), undefined);
    assert.equal((await listed(ca, [below])).find(pathOf(leaf)), undefined);
    assert.equal((await listed(intermediate, [leaf])).find(pathOf(leaf)), undefined);
    assert.equal((await listed(ca, [leaf])).find(pathOf(below)), undefined);
  });

  test('is not revoked by the list of another key with its issuer’s name', async () => {
    // both call themselves O=test; the other one names our serial number
    const namesake = await createTestCa();
    assert.equal((await listed(namesake, [leaf])).find(pathOf(leaf)), undefined);
  });

  test('whose issuer is not at hand is believed to be revoked by whoever has the name', async () => {
    const [only] = pathOf(leaf);
    assert.equal((await listed(ca, [leaf])).find([only!])?.place, 'leaf');
  });

  test('has any serial number, and is found by it (property)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.nat(3), async (count, pick) => {
        const svids = await Promise.all(Array.from({ length: count }, () => ca.svid(CLIENT)));
        const revoked = svids.filter((_, index) => index !== pick);
        const index = await listed(ca, revoked);
        for (const svid of svids) {
          assert.equal(index.find(pathOf(svid)) !== undefined, revoked.includes(svid));
        }
      }),
      { numRuns: 15 },
    );
  });
});

describe('a tunnel', () => {
  let known: Acquainted;
  let chained: Credentials;
  before(async () => {
    known = await acquaint();
    chained = credentialsOf(await (await known.ca.intermediate()).svid(CLIENT));
  });

  function revoking(credentials: Credentials, revocations: Revocations): Credentials {
    return credentialsOf(credentials.svid, { ...OWN_TRUST, revocations });
  }

  test('is refused to a peer whose certificate is revoked', async () => {
    const server = revoking(known.server, await listed(known.ca, [known.client.svid]));
    await withPeers(
      known,
      async ({ connect, denied }) => {
        await rejection(connect());
        assert.equal(denied[0]?.error.code, 'CERT_REVOKED');
        assert.equal((await connect(chained)).available, true);
      },
      { server },
    );
  });

  test('is refused to a peer whose intermediate is revoked', async () => {
    const middle = await known.ca.intermediate();
    // the intermediate is our own authority's too
    const own = await middle.credentials(SERVER);
    const server = revoking(own, await listed(known.ca, [middle]));
    await withPeers(
      known,
      async ({ connect, denied }) => {
        await rejection(connect(await middle.credentials(CLIENT)));
        assert.equal(denied[0]?.error.code, 'CERT_REVOKED');
        assert.match(denied[0].error.message, /intermediate/);
      },
      { server },
    );
  });

  test('is not opened to a peer whose certificate is revoked', async () => {
    await withPeers(known, async ({ connect, requests }) => {
      const client = revoking(known.client, await listed(known.ca, [known.server.svid]));
      assert.equal((await rejection(connect(client))).code, 'CERT_REVOKED');
      assert.equal(requests.length, 0);
    });
  });

  test('is closed by the answering side when its peer is revoked, and only that one', async () => {
    const far: TunnelStream[] = [];
    await withPeers(
      known,
      async ({ connect, acceptor }) => {
        const [bad, good] = [await connect(), await connect(chained)];
        const [lost, kept] = [await bad.open(HEAD), await good.open(HEAD)];
        acceptor.replace(revoking(known.server, await listed(known.ca, [known.client.svid])));
        lost.bytes.resume();
        await closed(lost.bytes);
        assert.equal(lost.broken, true);
        assert.equal(far[0]?.lost?.code, 'CERT_REVOKED');
        await bad.ended;
        assert.equal(good.available, true);
        kept.bytes.end();
      },
      {
        onRequest: (request) => {
          const stream = request.accept({});
          far.push(stream);
          stream.bytes.resume().once('end', () => stream.bytes.end());
        },
      },
    );
  });

  test('is closed by the asking side when its peer is revoked', async () => {
    await withPeers(known, async ({ connect }) => {
      const tunnel = await connect();
      const stream = await tunnel.open(HEAD);
      const other = revoking(known.client, await listed(known.ca, [known.client.svid]));
      assert.equal(tunnel.recheck(other.trust), false);
      assert.equal(tunnel.available, true);
      const { trust } = revoking(known.client, await listed(known.ca, [known.server.svid]));
      assert.equal(tunnel.recheck(trust), true);
      assert.equal((await tunnel.ended)?.code, 'CERT_REVOKED');
      assert.equal(stream.lost?.code, 'CERT_REVOKED');
      assert.deepEqual(stream.peer, SERVER);
    });
  });
});
