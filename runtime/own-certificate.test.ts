// A server's own certificate: in use at once, renewed at half life, kept when the CA is away.

import 'reflect-metadata';
import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { describe, test } from 'node:test';
import * as x509 from '@peculiar/x509';
import { parseIdentity } from '../mesh/identity.ts';
import { silentLog } from './log.ts';
import { ManualClock } from './manual-clock.ts';
import { keepOwnCertificate, type OwnCertificate } from './own-certificate.ts';

const IDENTITY = parseIdentity('spiffe://cluster.local/ns/ambit-system/sa/ambit-ca');
const HOUR_MS = 3_600_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A chain of the form the CA answers with; its contents do not matter but for the times. */
async function chainAt(now: number): Promise<string[]> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    keys,
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(now),
    notAfter: new Date(now + 24 * HOUR_MS),
  });
  const pem = `${certificate.toString('pem')}\n`;
  return [pem, pem];
}

function setup() {
  const clock = new ManualClock(Date.UTC(2030, 0, 1));
  const used: OwnCertificate[] = [];
  const state = { away: false, asked: 0 };
  const waits: (() => void)[] = [];
  const kept = keepOwnCertificate(
    {
      clock,
      log: silentLog,
      issue: async () => {
        state.asked++;
        for (const wake of waits.splice(0)) wake();
        if (state.away) throw new Error('The CA is away');
        return chainAt(clock.now());
      },
      use: (certificate) => used.push(certificate),
    },
    { identity: IDENTITY },
  );
  /** Moves time on until it was in use so often. */
  const untilUsed = async (count: number): Promise<void> => {
    while (used.length < count) await clock.advance(0);
  };
  return { clock, used, state, kept, untilUsed };
}

describe('keepOwnCertificate()', () => {
  test('is ready with the first certificate and renews at half its life, with a new key', async () => {
    const { clock, used, kept, untilUsed } = setup();
    await kept.ready;
    assert.equal(used.length, 1);
    await clock.advance(12 * HOUR_MS - 1000);
    assert.equal(used.length, 1);
    await clock.advance(1000);
    await untilUsed(2);
    assert.notEqual(used[0]?.keyPem, used[1]?.keyPem);
    await kept.close();
    assert.equal(clock.pending(), 0);
  });

  test('is renewed at once when asked to, and when the clock is set', async () => {
    const { clock, used, kept, untilUsed } = setup();
    await kept.ready;
    await clock.advance(0);
    kept.renew();
    await untilUsed(2);
    clock.jump(25 * HOUR_MS);
    await clock.advance(10_000);
    await untilUsed(3);
    assert.ok((used.at(-1)?.notAfter ?? 0) > clock.now());
    await clock.advance(11 * HOUR_MS);
    assert.equal(used.length, 3, 'and then at half its life again');
    await kept.close();
    assert.equal(clock.pending(), 0);
  });

  test('keeps what it has while the CA is away, and tries again and again', async () => {
    const { clock, used, state, kept, untilUsed } = setup();
    await kept.ready;
    state.away = true;
    while (state.asked < 8) await clock.advance(HOUR_MS / 4);
    assert.equal(used.length, 1);
    state.away = false;
    while (used.length < 2) await clock.advance(60_000);
    await untilUsed(2);
    await kept.close();
  });

  test('closing before the first certificate rejects the wait for it', async () => {
    const { kept } = setup();
    await kept.close();
    await assert.rejects(kept.ready, /Stopped keeping/);
  });
});
