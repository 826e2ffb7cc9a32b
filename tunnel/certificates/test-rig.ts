// Certificates with a CA made by hand and a clock that stands still. Used by the tests of what is asked for, and of whom to
// believe.

import { formatIdentity, type Identity, parseIdentity } from '../../mesh/identity.ts';
import type { TrustBundle } from '../../mesh/trust.ts';
import { until } from '../../node-agent/test-support/world.ts';
import { silentLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import type { Credentials } from '../contexts.ts';
import { createTestCa, type TestCa } from '../test-ca.ts';
import type { PeerTrust } from '../trust.ts';
import { Certificates } from './certificates.ts';
import type { Issue } from './held-certificate.ts';

export const WEB = parseIdentity('spiffe://cluster.local/ns/shop/sa/web');
export const HOUR = 3_600_000;

export const ca: TestCa = await createTestCa();

/** Certificates with a CA that counts, and can be told to fail, to wait, or to sign with another root. */
export function setUp(settings: { life?: number; onTrust?: (trust: PeerTrust) => void } = {}) {
  // certificates carry whole seconds
  const clock = new ManualClock(Math.floor(Date.now() / 1000) * 1000);
  const asked: string[] = [];
  const state: {
    fail: boolean;
    gate: Promise<void> | undefined;
    running: number;
    most: number;
    signer: TestCa;
  } = { fail: false, gate: undefined, running: 0, most: 0, signer: ca };
  const issue: Issue = async (identity, csrPem) => {
    asked.push(formatIdentity(identity));
    state.most = Math.max(state.most, ++state.running);
    await state.gate;
    state.running--;
    if (state.fail) throw new Error('the CA says no');
    const notBefore = new Date(clock.now());
    const notAfter = new Date(clock.now() + (settings.life ?? HOUR));
    const leaf = await state.signer.sign(csrPem, identity, { notBefore, notAfter });
    return { chain: [leaf, state.signer.rootPem] };
  };
  const certificates = new Certificates(
    { clock, log: silentLog, issue, onTrust: settings.onTrust ?? (() => {}) },
    { trustDomain: 'cluster.local', ttlSeconds: 3600, random: () => 0.5 },
  );
  return { clock, asked, state, certificates };
}

export function bundleOf(roots: readonly string[], more: Partial<TrustBundle> = {}): TrustBundle {
  const nothing = { aliases: [], retiring: [], renewWithinMs: 0, crls: [] };
  return { trustDomain: 'cluster.local', roots, ...nothing, ...more };
}

/** The roots that handshakes with these credentials believe. */
export function believed({ trust }: Credentials): string[] {
  return trust.rootsPem.toSorted();
}

export function other(index: number): Identity {
  return { ...WEB, serviceAccount: `other-${index}` };
}

/** Lets time pass in steps, each request of a step answered within it. */
export async function pass(
  { clock, certificates }: { clock: ManualClock; certificates: Certificates },
  ms: number,
): Promise<void> {
  const step = ms / 200;
  for (let i = 0; i < 200; i++) {
    await clock.advance(step);
    await until(() => certificates.queue.running === 0);
  }
}
