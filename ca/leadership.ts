// Contends for the Lease of the root as long as the process lives, and looks after the root while it is held. Started by
// app.ts. Invariant: a fault of the looking-after costs this replica the Lease, never the process, and it contends again.

import { elect } from '../runtime/kubernetes/lease.ts';
import { type LeaderParts, type LeaderSettings, lead } from './leader.ts';

const LEASE = 'ambit-ca-root';
/** Time for another replica to do better. */
const CONTEND_AGAIN_MS = 5000;

export type Leadership = {
  readonly leads: boolean;
  close(): Promise<void>;
};

export function lookAfterRoot(
  parts: LeaderParts,
  settings: LeaderSettings & { readonly holder: string },
): Leadership {
  const { log, clock } = parts;
  const { namespace, holder } = settings;
  const resign = new AbortController();
  let leads = false;
  const whileLeading = async (leading: AbortSignal): Promise<void> => {
    leads = true;
    try {
      await lead(parts, settings, leading);
    } finally {
      leads = false;
    }
  };
  const contend = async (): Promise<void> => {
    while (!resign.signal.aborted) {
      try {
        await elect(parts, { namespace, name: LEASE, holder }, whileLeading, resign.signal);
      } catch (error) {
        log.error('Stopped looking after the root: contending for it again', { error });
        await clock.sleep(CONTEND_AGAIN_MS, resign.signal).catch(() => {});
      }
    }
  };
  const contending = contend();
  return {
    get leads() {
      return leads;
    },
    async close() {
      resign.abort(new Error('The CA stops'));
      await contending;
    },
  };
}
