// Readiness as a file: a line `ready`, or what is waited for, and a line with the number of the process. For a probe that must
// hear of this very process: during an upgrade two agents of a node share the ready port, and either may answer there; and
// what a process that was killed has left behind must not count for the next one. Started by a composition root.

import { renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Log } from './log.ts';
import type { Readiness } from './readiness.ts';

/** Writes now and at each change; `close` removes the file. Where it cannot be written, the probe fails: said in the log. */
export function followReadiness(
  parts: { readonly log: Log; readonly readiness: Readiness },
  path: string,
): { close(): void } {
  const { log, readiness } = parts;
  const write = (): void => {
    const pending = readiness.pending();
    const line = pending.length === 0 ? 'ready' : `not ready, pending: ${pending.join(', ')}`;
    try {
      // a reader sees one state or the other, whole
      writeFileSync(`${path}.tmp`, `${line}\n${process.pid}\n`);
      renameSync(`${path}.tmp`, path);
    } catch (error) {
      log.error('Cannot write the readiness file: probes will call this process not ready', {
        path,
        error,
      });
    }
  };
  const unsubscribe = readiness.subscribe(write);
  write();
  return {
    close() {
      unsubscribe();
      rmSync(path, { force: true });
    },
  };
}
