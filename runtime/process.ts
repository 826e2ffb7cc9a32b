// The life of a component's process: its signals, its exit code, its last words. Each main.ts calls run() and no more.
// First SIGTERM or SIGINT: stop politely (the signal aborts). Second: exit at once.

import { aborted } from './aborted.ts';
import { type Clock, systemClock } from './clock.ts';
import { ConfigError, SettingsReader } from './env.ts';
import { createLog, LOG_LEVELS, type Log } from './log.ts';
import { nodeTooOld } from './version.ts';

export type ProcessParts = {
  readonly env: SettingsReader;
  readonly log: Log;
  readonly clock: Clock;
  /** Aborted when the process shall end; main() resolves once everything it owns is closed. */
  readonly stop: AbortSignal;
  /** Asks for the same as a first signal. */
  readonly quit: (why: string) => void;
};

/** Exit codes: 0 ended as asked, 1 failed, 2 wrong settings. */
export function run(component: string, main: (parts: ProcessParts) => Promise<void>): void {
  const env = new SettingsReader(process.env);
  const log = createLog({
    component,
    level: env.oneOf('AMBIT_LOG_LEVEL', LOG_LEVELS, 'info'),
    format: env.oneOf('AMBIT_LOG_FORMAT', ['json', 'text'], 'json'),
  });
  const tooOld = nodeTooOld();
  if (tooOld !== undefined) {
    log.error(tooOld);
    process.exit(1);
  }
  const stop = new AbortController();
  const quit = (why: string): void => {
    if (stop.signal.aborted) return;
    log.info('Stopping', { why });
    stop.abort(new Error(`Stopped by ${why}`));
  };
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(1);
      quit(name);
    });
  }
  // A fault in one connection must not take the node's other connections with it: record it, go on.
  process.on('unhandledRejection', (error) => log.error('Unhandled rejection', { error }));
  process.on('uncaughtException', (error) => log.error('Uncaught exception', { error }));

  main({ env, log, clock: systemClock, stop: stop.signal, quit }).then(
    () => {
      log.info('Stopped');
      process.exit(0);
    },
    (error: unknown) => {
      if (error instanceof ConfigError) {
        log.error(error.message);
        process.exit(2);
      }
      log.error('Failed', { error });
      process.exit(1);
    },
  );
}

/**
 * A component's life: started, kept until `stop`, closed. What fails because it was asked to stop while it still started is
 * no failure.
 */
export async function liveUntil(
  stop: AbortSignal,
  start: () => Promise<{ close(): Promise<void> }>,
): Promise<void> {
  let component: { close(): Promise<void> };
  try {
    component = await start();
  } catch (error) {
    if (stop.aborted) return;
    throw error;
  }
  await aborted(stop);
  await component.close();
}
