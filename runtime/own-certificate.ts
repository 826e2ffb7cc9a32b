// A server's own certificate: got at start, renewed at half its life, handed over each time. Used by ca and
// control-plane for their listening sockets. A certificate that is still valid is kept when renewing fails.

import { X509Certificate } from 'node:crypto';
import { formatIdentity, type Identity } from '../mesh/identity.ts';
import { type BackoffSettings, backoff } from './backoff.ts';
import type { Clock } from './clock.ts';
import { watchClock } from './clock-jumps.ts';
import { makeCsr } from './csr.ts';
import type { Log } from './log.ts';
import { renewAt } from './renewal.ts';

export type OwnCertificate = {
  /** Leaf and intermediates. */
  readonly chainPem: string;
  readonly keyPem: string;
  readonly rootsPem: string;
  readonly notAfter: number;
};

export type OwnCertificateParts = {
  readonly clock: Clock;
  readonly log: Log;
  /** Asks the CA: leaf first, roots last. */
  readonly issue: (csrPem: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** Takes each new certificate into use. */
  readonly use: (certificate: OwnCertificate) => void;
};

export type KeptCertificate = {
  /** Resolves when the first certificate is in use. */
  readonly ready: Promise<void>;
  /** Asks for a new one now, whatever the present one's age: its root is about to leave, say. */
  renew(): void;
  close(): Promise<void>;
};

// The reference's pace of retries for certificates.
const RETRY: BackoffSettings = { initialMs: 500, maxMs: 150_000 };
// Before the first certificate nothing can be served: look more often.
const FIRST_RETRY: BackoffSettings = { initialMs: 250, maxMs: 5000 };

export function keepOwnCertificate(
  parts: OwnCertificateParts,
  settings: { readonly identity: Identity },
): KeptCertificate {
  const { clock, log } = parts;
  const stop = new AbortController();
  let hurry = new AbortController();
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => {});
  const identity = formatIdentity(settings.identity);

  const run = async (): Promise<void> => {
    let retry = backoff(FIRST_RETRY);
    while (!stop.signal.aborted) {
      let pause: number;
      try {
        const { csrPem, keyPem } = await makeCsr(settings.identity);
        const chain = await parts.issue(csrPem, stop.signal);
        const certificate = readChain(chain, keyPem);
        parts.use(certificate);
        log.info('Own certificate is in use', {
          identity,
          notAfter: new Date(certificate.notAfter).toISOString(),
        });
        ready.resolve();
        retry = backoff(RETRY);
        // one server, one certificate: nothing to spread
        const due = renewAt({ ...certificate, receivedAt: clock.now() }, 0);
        pause = Math.max(RETRY.initialMs, due - clock.now());
      } catch (error) {
        if (stop.signal.aborted) return;
        log.warn('Cannot get a certificate for this server: trying again', { identity, error });
        pause = retry.next();
      }
      hurry = new AbortController();
      const until = AbortSignal.any([stop.signal, hurry.signal]);
      await clock.sleep(pause, until).catch(() => {});
    }
  };
  // appointments are by wall clock: after a jump the present certificate may be over, or years from it
  const watch = watchClock(clock, () => hurry.abort(new Error('The clock was set')));
  const running = run();
  return {
    ready: ready.promise,
    renew: () => hurry.abort(new Error('A new certificate is wanted now')),
    async close() {
      const reason = new Error('Stopped keeping the own certificate');
      stop.abort(reason);
      watch.close();
      ready.reject(reason);
      await running;
    },
  };
}

function readChain(
  chain: readonly string[],
  keyPem: string,
): OwnCertificate & { readonly notBefore: number } {
  const [leaf] = chain;
  const rootsPem = chain.at(-1);
  if (leaf === undefined || rootsPem === undefined || chain.length < 2) {
    throw new Error(
      `Cannot use the CA's answer: a chain of ${chain.length}, expected leaf and root`,
    );
  }
  const parsed = new X509Certificate(leaf);
  const [from, to] = [parsed.validFromDate.getTime(), parsed.validToDate.getTime()];
  return {
    chainPem: chain.slice(0, -1).join(''),
    keyPem,
    rootsPem,
    notBefore: from,
    notAfter: to,
  };
}
