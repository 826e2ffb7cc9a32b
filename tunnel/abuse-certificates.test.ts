// Certificates that are almost good, on either end: no tunnel comes of them, the reason is told here and not to the peer.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { formatIdentity, type Identity } from '../mesh/identity.ts';
import type { Denied } from './accept.ts';
import type { Credentials } from './contexts.ts';
import { createTestCa, type IssueOptions } from './test-ca.ts';
import { type Acquainted, acquaint, CLIENT, rejection, SERVER, withPeers } from './test-peers.ts';

const HOUR_MS = 3_600_000;
const RSA = {
  name: 'RSASSA-PKCS1-v1_5',
  modulusLength: 1024,
  publicExponent: Uint8Array.of(1, 0, 1),
  hash: 'SHA-256',
};

let known: Acquainted;
before(async () => {
  known = await acquaint();
});

type Make = (identity: Identity) => Promise<Credentials>;

function issued(options: IssueOptions): Make {
  return (identity) => known.ca.credentials(identity, options);
}

function named(change: (name: string) => string): Make {
  return (identity) => known.ca.credentials(identity, { uris: [change(formatIdentity(identity))] });
}

const ago = new Date(Date.now() - HOUR_MS / 60);
const soon = new Date(Date.now() + HOUR_MS);

/** The code by which each is refused, by the answering end and by the asking one. */
const BAD: readonly (readonly [string, Make, string])[] = [
  ['is expired', issued({ notAfter: ago }), 'CERT_EXPIRED'],
  ['is not valid yet', issued({ notBefore: soon }), 'CERT_NOT_YET_VALID'],
  ['is for nothing', issued({ usages: [] }), 'TLS_FAILURE'],
  ['is an authority’s', issued({ isAuthority: true }), 'PEER_IDENTITY_MISMATCH'],
  [
    'is signed by a workload’s',
    async (identity) => (await known.ca.intermediate({ isAuthority: false })).credentials(identity),
    'TLS_FAILURE',
  ],
  [
    'is signed by an expired intermediate',
    async (identity) => (await known.ca.intermediate({ notAfter: ago })).credentials(identity),
    'CERT_EXPIRED',
  ],
  ['is signed with SHA-1', issued({ hash: 'SHA-1' }), 'TLS_FAILURE'],
  [
    'is of an authority with our root’s name',
    async (identity) => {
      const namesake = await createTestCa();
      const { svid } = await namesake.credentials(identity);
      return withRoots({ ...svid, roots: [known.ca.rootPem] });
    },
    'TLS_FAILURE',
  ],
  ['has no name', issued({ uris: [] }), 'PEER_IDENTITY_MISMATCH'],
  [
    'has 33 names',
    (identity) =>
      known.ca.credentials(identity, { uris: Array(33).fill(formatIdentity(identity)) }),
    'PEER_IDENTITY_MISMATCH',
  ],
  ['has a name with NUL at its end', named((name) => `${name}\0`), 'PEER_IDENTITY_MISMATCH'],
  [
    'has a name with NUL in it',
    named((name) => `${name}\0.evil.example`),
    'PEER_IDENTITY_MISMATCH',
  ],
  [
    'has a name with a percent escape',
    named((name) => `${name.slice(0, -1)}%74`),
    'PEER_IDENTITY_MISMATCH',
  ],
  ['has a name in upper case', named((name) => name.toUpperCase()), 'PEER_IDENTITY_MISMATCH'],
  [
    'has a scheme in upper case',
    named((name) => name.replace('spiffe', 'SPIFFE')),
    'PEER_IDENTITY_MISMATCH',
  ],
  ['has a name with a slash at its end', named((name) => `${name}/`), 'PEER_IDENTITY_MISMATCH'],
  [
    'has a name with an empty part',
    named((name) => name.replace('/ns/', '//ns/')),
    'PEER_IDENTITY_MISMATCH',
  ],
  [
    'has a name with dots for parts',
    named((name) => name.replace('/ns/', '/../ns/')),
    'PEER_IDENTITY_MISMATCH',
  ],
  ['has a name of 4 kB', named((name) => name + 'a'.repeat(4096)), 'PEER_IDENTITY_MISMATCH'],
  ['has a name with a query', named((name) => `${name}?x=y`), 'PEER_IDENTITY_MISMATCH'],
  [
    'has a name with a port',
    named((name) => name.replace('.local', '.local:80')),
    'PEER_IDENTITY_MISMATCH',
  ],
  ['has a name with a user', named((name) => name.replace('//', '//x@')), 'PEER_IDENTITY_MISMATCH'],
  ['has a name with bytes above 127', named((name) => `${name}é`), 'PEER_IDENTITY_MISMATCH'],
  ['has a name with a blank', named((name) => ` ${name}`), 'PEER_IDENTITY_MISMATCH'],
  [
    'is of another trust domain',
    named((name) => name.replace('cluster.local', 'cluster.local.evil')),
    'PEER_IDENTITY_MISMATCH',
  ],
];

async function withRoots(svid: Credentials['svid']): Promise<Credentials> {
  const { credentialsOf } = await import('./contexts.ts');
  return credentialsOf(svid);
}

async function refusedBy(make: Make): Promise<{ denied: Denied; told: string }> {
  const first = Promise.withResolvers<Denied>();
  let told = '';
  await withPeers(
    known,
    async ({ connect, requests }) => {
      told = (await rejection(connect(await make(CLIENT)))).message.replace(
        /127[\d.]+:\d+/,
        'PEER',
      );
      await first.promise;
      assert.equal(requests.length, 0);
    },
    { onDenied: first.resolve },
  );
  return { denied: await first.promise, told };
}

describe('a peer whose certificate', () => {
  for (const [what, make, code] of BAD) {
    test(`${what} gets no tunnel, and nobody gets one to it`, async () => {
      const { denied } = await refusedBy(make);
      assert.equal(denied.error.code, code, denied.error.message);
      const server = await make(SERVER);
      await withPeers(
        known,
        async ({ connect, requests }) => {
          const error = await rejection(connect());
          assert.equal(error.code, code, error.message);
          assert.equal(requests.length, 0);
        },
        { server },
      );
    });
  }

  test('has an RSA key of 1024 bits gets no tunnel: ours cannot even be made of it', async () => {
    const svid = await known.ca.svid(CLIENT, { keys: RSA });
    await assert.rejects(withRoots(svid), /key too small/);
  });

  for (const [what, modulusLength] of [['2048', 2048]] as const) {
    test(`has an RSA key of ${what} bits gets a tunnel, as it would elsewhere`, async () => {
      await withPeers(known, async ({ connect }) => {
        const credentials = await known.ca.credentials(CLIENT, { keys: { ...RSA, modulusLength } });
        assert.equal((await connect(credentials)).available, true);
      });
    });
  }

  test('is only for clients is none a server may have, and the other way round', async () => {
    const { denied } = await refusedBy(issued({ usages: ['serverAuth'] }));
    assert.equal(denied.error.code, 'TLS_FAILURE');
    const server = await known.ca.credentials(SERVER, { usages: ['clientAuth'] });
    await withPeers(
      known,
      async ({ connect }) => {
        assert.equal((await rejection(connect())).code, 'TLS_FAILURE');
      },
      { server },
    );
  });

  test('is bad is told the same, whatever is bad about it', async () => {
    const told = new Set<string>();
    for (const [, make] of BAD) told.add((await refusedBy(make)).told);
    assert.deepEqual(
      [...told],
      [
        'Cannot open a tunnel to PEER: the peer closed the connection, it may have refused our certificate',
      ],
    );
  });
});
