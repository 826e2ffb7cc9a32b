// Issued certificates, read back by node:crypto and, where it is installed, by openssl's strict checks.

import 'reflect-metadata';
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync, webcrypto, X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import * as x509 from '@peculiar/x509';
import fc from 'fast-check';
import { parseIdentity } from '../mesh/identity.ts';
import { makeCsr } from '../runtime/csr.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { IssueError, issueCertificate } from './issue.ts';
import { makeRoot, readSigner, type Signer } from './signer.ts';

const WEB = parseIdentity('spiffe://cluster.local/ns/shop/sa/web');
const DAY_MS = 86_400_000;
const SETTINGS = { defaultTtlMs: DAY_MS, maxTtlMs: 90 * DAY_MS };
const NOW = Date.UTC(2030, 0, 1);

async function signerOf(ttlMs = 3650 * DAY_MS): Promise<Signer> {
  const pem = await makeRoot({ trustDomain: 'cluster.local', now: NOW, ttlMs });
  // read while it was still good
  return readSigner(pem, Math.min(NOW, NOW + ttlMs - 1000));
}

/** A key of a kind that the mesh does not take. */
function keysOf(kind: 'rsa' | 'ec' | 'ed25519', size?: number | string): Buffer {
  const { publicKey } =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: Number(size) })
      : kind === 'ec'
        ? generateKeyPairSync('ec', { namedCurve: String(size) })
        : generateKeyPairSync('ed25519');
  return publicKey.export({ format: 'der', type: 'spki' });
}

/** A CSR in shape, with a signature that nobody gets to check: what key it is about is looked at first. */
function csrAround(spki: Buffer): string {
  const wrap = (tag: number, ...parts: Buffer[]): Buffer => {
    const body = Buffer.concat(parts);
    const { length } = body;
    const size =
      length < 0x80
        ? Buffer.of(length)
        : length < 0x100
          ? Buffer.of(0x81, length)
          : Buffer.of(0x82, length >> 8, length & 0xff);
    return Buffer.concat([Buffer.of(tag), size, body]);
  };
  const version = Buffer.of(0x02, 0x01, 0x00);
  const info = wrap(0x30, version, wrap(0x30), spki, wrap(0xa0));
  const ecdsaWithSha256 = Buffer.from('06082a8648ce3d040302', 'hex');
  const whole = wrap(0x30, info, wrap(0x30, ecdsaWithSha256), wrap(0x03, Buffer.of(0, 0x30, 0)));
  return `-----BEGIN CERTIFICATE REQUEST-----\n${whole.toString('base64')}\n-----END CERTIFICATE REQUEST-----`;
}

type KeyAlgorithm = webcrypto.EcKeyGenParams & webcrypto.EcdsaParams;

async function csrOf(algorithm: object): Promise<string> {
  const signingAlgorithm = algorithm as KeyAlgorithm;
  const keys = await webcrypto.subtle.generateKey(signingAlgorithm, true, ['sign', 'verify']);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm });
  return csr.toString('pem');
}

async function issue(csrPem: string, ttlSeconds = 0, signer?: Signer) {
  const parts = { signer: signer ?? (await signerOf()), clock: new ManualClock(NOW) };
  return issueCertificate(parts, SETTINGS, { identity: WEB, csrPem, ttlSeconds });
}

const openssl = spawnSync('openssl', ['version']).status === 0;

describe('issueCertificate()', () => {
  test('a leaf names the identity and nothing else, for both ends of TLS, for a day', async () => {
    const { csrPem, keyPem } = await makeCsr(WEB);
    const { chain, serial, notAfter } = await issue(csrPem);
    assert.equal(chain.length, 2);
    const leaf = new X509Certificate(chain[0]!);
    const root = new X509Certificate(chain[1]!);
    assert.equal(leaf.subjectAltName, 'URI:spiffe://cluster.local/ns/shop/sa/web');
    assert.equal(leaf.subject, undefined);
    assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    assert.equal(leaf.ca, false);
    assert.equal(leaf.serialNumber.toLowerCase(), serial);
    assert.equal(serial.length, 32);
    assert.equal(leaf.validToDate.getTime(), NOW + DAY_MS);
    assert.equal(notAfter, NOW + DAY_MS);
    assert.ok(leaf.verify(root.publicKey) && leaf.checkIssued(root) && root.ca);
    assert.match(keyPem, /PRIVATE KEY/);
  });

  test('a leaf and its root are good at once for a node whose clock is five minutes behind', async () => {
    const { chain } = await issue((await makeCsr(WEB)).csrPem);
    for (const pem of chain) {
      const from = new X509Certificate(pem).validFromDate.getTime();
      assert.ok(from < NOW - 5 * 60_000 && from > NOW - 10 * 60_000, new Date(from).toISOString());
    }
  });

  test('the subject alternative name is critical, because the subject is empty', async () => {
    const { chain } = await issue((await makeCsr(WEB)).csrPem);
    const leaf = new x509.X509Certificate(chain[0]!);
    const name = leaf.getExtension(x509.SubjectAlternativeNameExtension);
    assert.equal(name?.critical, true);
    const usage = leaf.getExtension(x509.KeyUsagesExtension);
    assert.equal(
      usage?.usages,
      x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment,
    );
  });

  test('the identity is the allowed one, whatever names the CSR asks for', async () => {
    const { csrPem } = await makeCsr(
      parseIdentity('spiffe://cluster.local/ns/kube-system/sa/admin'),
    );
    const { chain } = await issue(csrPem);
    assert.equal(
      new X509Certificate(chain[0]!).subjectAltName,
      'URI:spiffe://cluster.local/ns/shop/sa/web',
    );
  });

  test('the lifetime is the requested one, but never outlives the signer', async () => {
    const { csrPem } = await makeCsr(WEB);
    assert.equal((await issue(csrPem, 60)).notAfter, NOW + 60_000);
    assert.equal((await issue(csrPem, 7200, await signerOf(3_600_000))).notAfter, NOW + 3_600_000);
  });

  const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const rsa = (modulusLength: number) => ({
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength,
    publicExponent: new Uint8Array([1, 0, 1]),
  });
  for (const [name, algorithm] of [
    ['P-256', P256],
    ['P-384', { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' }],
    ['RSA 2048', rsa(2048)],
  ] as const) {
    test(`a key of ${name} is accepted`, async () => {
      assert.equal((await issue(await csrOf(algorithm))).chain.length, 2);
    });
  }

  const refusals: [string, () => Promise<string>, number, RegExp][] = [
    ['text that is no CSR', async () => 'hello', 0, /CSR cannot be read as PKCS#10/],
    ['a CSR that is too long', async () => 'x'.repeat(20_000), 0, /longer than 16384/],
    ['RSA of 1024 bits', () => csrOf(rsa(1024)), 0, /RSA key has 1024 bits: use ECDSA P-256/],
    ['RSA of 512 bits', async () => csrAround(keysOf('rsa', 512)), 0, /RSA key has 512 bits/],
    ['RSA of 4608 bits', async () => csrAround(keysOf('rsa', 4608)), 0, /RSA key has 4608 bits/],
    ['P-224', async () => csrAround(keysOf('ec', 'secp224r1')), 0, /on curve secp224r1/],
    ['P-192', async () => csrAround(keysOf('ec', 'prime192v1')), 0, /on curve prime192v1/],
    ['Ed25519', async () => csrAround(keysOf('ed25519')), 0, /key is of type ed25519/],
    ['a megabyte', async () => 'A'.repeat(1 << 20), 0, /longer than 16384/],
    ['nothing', async () => '', 0, /CSR cannot be read as PKCS#10/],
    [
      'a lifetime of ten years',
      async () => (await makeCsr(WEB)).csrPem,
      10 * 365 * 86_400,
      /the most is 7776000 s/,
    ],
    [
      'a lifetime beyond what a number can count',
      async () => (await makeCsr(WEB)).csrPem,
      2 ** 60,
      /makes no sense/,
    ],
    [
      'P-521',
      () => csrOf({ name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' }),
      0,
      /on curve secp521r1/,
    ],
    ['a negative lifetime', async () => (await makeCsr(WEB)).csrPem, -1, /makes no sense/],
    [
      'more than 90 days',
      async () => (await makeCsr(WEB)).csrPem,
      90 * 86_400 + 1,
      /the most is 7776000 s/,
    ],
    [
      'a CSR signed by another key',
      async () => {
        const csr = new x509.Pkcs10CertificateRequest((await makeCsr(WEB)).csrPem);
        const der = Buffer.from(csr.rawData);
        const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
        const spki = other.export({ format: 'der', type: 'spki' });
        const at = der.indexOf(Buffer.from(csr.publicKey.rawData));
        spki.copy(der, at);
        return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----`;
      },
      0,
      /not signed by the key it names/,
    ],
  ];
  for (const [name, csr, ttl, message] of refusals) {
    test(`${name} is refused with the reason`, async () => {
      await assert.rejects(issue(await csr(), ttl), (error: IssueError) => {
        assert.equal(error.fault, 'request');
        assert.match(error.message, /^Cannot issue a certificate for spiffe:/);
        assert.match(error.message, message);
        return true;
      });
    });
  }

  test('whatever the bytes of a CSR are, it is signed or refused as the caller’s fault', async () => {
    const good = Buffer.from(
      (await makeCsr(WEB)).csrPem.replaceAll(/-----[^-]+-----|\s/g, ''),
      'base64',
    );
    const pem = (der: Uint8Array): string =>
      `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE REQUEST-----`;
    const attempt = async (text: string): Promise<void> => {
      try {
        await issue(text);
      } catch (error) {
        assert.ok(error instanceof IssueError && error.fault === 'request', String(error));
      }
    };
    await fc.assert(fc.asyncProperty(fc.string(), attempt));
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), (bytes) => attempt(pem(bytes))),
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), (at, value) => {
        const bytes = Buffer.from(good);
        bytes[at] = value;
        return attempt(pem(bytes));
      }),
      { numRuns: 500 },
    );
  });

  test('serial numbers are positive, of full length, and do not repeat', async () => {
    const { csrPem } = await makeCsr(WEB);
    const serials = new Set<string>();
    for (let i = 0; i < 50; i++) {
      const { chain } = await issue(csrPem);
      const { serialNumber } = new X509Certificate(chain[0]!);
      assert.match(serialNumber, /^[0-9A-F]{31,32}$/);
      serials.add(serialNumber);
    }
    assert.equal(serials.size, 50);
  });

  test('an ended signer signs nothing and says so', async () => {
    const signer = await signerOf(-1000);
    await assert.rejects(issue((await makeCsr(WEB)).csrPem, 0, signer), {
      name: 'IssueError',
      fault: 'signer',
    });
  });

  test('openssl verifies leaf and root strictly', {
    skip: !openssl && 'openssl is not installed',
  }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ambit-ca-'));
    try {
      const { chain } = await issue((await makeCsr(WEB)).csrPem);
      const [leaf, root] = [join(folder, 'leaf.pem'), join(folder, 'root.pem')];
      await writeFile(leaf, chain[0]!);
      await writeFile(root, chain[1]!);
      for (const purpose of ['sslserver', 'sslclient']) {
        const text = execFileSync(
          'openssl',
          [
            'verify',
            '-x509_strict',
            '-attime',
            String(NOW / 1000),
            '-purpose',
            purpose,
            '-CAfile',
            root,
            leaf,
          ],
          { encoding: 'utf8' },
        );
        assert.match(text, /: OK/);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
