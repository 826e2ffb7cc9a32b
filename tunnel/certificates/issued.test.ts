// What the CA may answer: anything but the certificate that was asked for is refused by what is wrong with it.

import 'reflect-metadata';
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { parseIdentity } from '../../mesh/identity.ts';
import { makeCsr } from '../../runtime/csr.ts';
import { createTestCa, type TestCa } from '../test-ca.ts';
import { readIssued } from './issued.ts';

const WEB = parseIdentity('spiffe://cluster.local/ns/shop/sa/web');
const OTHER = parseIdentity('spiffe://cluster.local/ns/shop/sa/other');
const NOW = Date.now();

let [ca, stranger]: TestCa[] = [];
let own: { csrPem: string; keyPem: string };
before(async () => {
  [ca, stranger] = [await createTestCa(), await createTestCa()];
  own = await makeCsr(WEB);
});

const asked = () => ({ identity: WEB, keyPem: own.keyPem, now: NOW });
const leaf = (options = {}) => ca!.sign(own.csrPem, WEB, options);

describe('an answer of the CA', () => {
  test('is taken with the root it leads to, of however many', async () => {
    const issued = readIssued(asked(), [await leaf(), stranger!.rootPem + ca!.rootPem]);
    assert.equal(issued.root.pem, ca!.rootPem);
    assert.deepEqual([...issued.roots], [stranger!.rootPem, ca!.rootPem]);
  });

  const refusals: [string, () => Promise<string[]>, RegExp][] = [
    ['nothing', async () => [], /chain of 0: expected leaf and root/],
    ['a leaf alone', async () => [await leaf()], /chain of 1: expected leaf and root/],
    ['garbage', async () => ['x', 'y'], /expected leaf and root/],
    [
      'a leaf that cannot be read',
      async () => [(await leaf()).replace(/\n[A-Za-z0-9+/=]{10}/, '\nAAAAAAAAAA'), ca!.rootPem],
      /./,
    ],
    [
      'another identity',
      async () => [await ca!.sign(own.csrPem, OTHER), ca!.rootPem],
      /instead of spiffe:.*web/,
    ],
    [
      'two identities',
      async () => [
        await leaf({
          uris: ['spiffe://cluster.local/ns/shop/sa/web', 'spiffe://cluster.local/ns/a/sa/b'],
        }),
        ca!.rootPem,
      ],
      /instead of spiffe:.*web/,
    ],
    [
      'another key',
      async () => [await ca!.sign((await makeCsr(WEB)).csrPem, WEB), ca!.rootPem],
      /of another key/,
    ],
    [
      'a certificate that has ended, telling both times',
      async () => [
        await leaf({ notBefore: new Date(NOW - 7e6), notAfter: new Date(NOW - 6e6) }),
        ca!.rootPem,
      ],
      /that ended .* Compare this node's clock/,
    ],
    ['another root', async () => [await leaf(), stranger!.rootPem], /leads to none of its roots/],
    [
      'a chain whose parts do not belong together',
      async () => [await leaf(), stranger!.rootPem, ca!.rootPem],
      /leads to none of its roots/,
    ],
  ];
  for (const [name, answer, message] of refusals) {
    test(`with ${name} is refused`, async () => {
      const chain = await answer();
      assert.throws(() => readIssued(asked(), chain), message);
    });
  }

  test('that does not fit a key of another kind is refused', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const keyPem = String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const chain = [await leaf(), ca!.rootPem];
    assert.throws(() => readIssued({ ...asked(), keyPem }, chain), /of another key/);
  });
});
