// Whom a client believes: only a certificate that names exactly the expected identity, however its names are dressed up.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PeerCertificate } from 'node:tls';
import { parseIdentity } from '../mesh/identity.ts';
import { expectIdentity } from './peer-identity.ts';

const check = expectIdentity(parseIdentity('spiffe://cluster.local/ns/ambit-system/sa/ambit-ca'));
const ask = (subjectaltname: string | undefined) =>
  check('ambit-ca', { subjectaltname } as PeerCertificate);

const believed = [
  'URI:spiffe://cluster.local/ns/ambit-system/sa/ambit-ca',
  'DNS:ambit-ca, URI:spiffe://cluster.local/ns/ambit-system/sa/ambit-ca',
];
const refused = [
  undefined,
  'DNS:ambit-ca',
  'URI:spiffe://cluster.local/ns/ambit-system/sa/ambit-ca2',
  'URI:spiffe://other/ns/ambit-system/sa/ambit-ca',
  'DNS:spiffe://cluster.local/ns/ambit-system/sa/ambit-ca',
  // one odd name that reads like three
  'URI:"x, URI:spiffe://cluster.local/ns/ambit-system/sa/ambit-ca, y"',
];

describe('expectIdentity()', () => {
  for (const names of believed)
    test(`believes ${names}`, () => assert.equal(ask(names), undefined));
  for (const names of refused) {
    test(`refuses ${names}`, () => {
      assert.match(
        ask(names)?.message ?? '',
        /^Cannot trust the server at ambit-ca: its certificate names .*, expected spiffe:/,
      );
    });
  }
});
