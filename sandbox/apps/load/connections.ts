// Long-lived TCP connections to an echo: each sends numbered lines for its whole life and checks that every one comes
// back, in order. A connection that ends before its time was dropped; it is counted, then replaced.

import { connect } from 'node:net';
import { noteFault, type Tally } from './tally.ts';

export type LineSettings = {
  readonly host: string;
  readonly port: number;
  readonly count: number;
  /** 0: for ever. */
  readonly lifetimeMs: number;
  readonly intervalMs: number;
};

// Echoed within this time, or the connection hangs: counted as dropped.
const SILENCE_MS = 20_000;
const REOPEN_MS = 500;

/** Keeps `count` connections open until aborted. Resolves when all are closed. */
export async function keepLines(
  tally: Tally,
  settings: LineSettings,
  stop: AbortSignal,
): Promise<void> {
  await Promise.all(
    Array.from({ length: settings.count }, (_, index) => keepOne(tally, settings, index, stop)),
  );
}

async function keepOne(
  tally: Tally,
  settings: LineSettings,
  index: number,
  stop: AbortSignal,
): Promise<void> {
  // spread over a lifetime, so that they do not all end at once
  let lifetimeMs = settings.lifetimeMs * ((index + 1) / settings.count);
  while (!stop.aborted) {
    await oneLine(tally, settings, lifetimeMs, stop);
    lifetimeMs = settings.lifetimeMs;
    if (!stop.aborted) await pause(REOPEN_MS, stop);
  }
}

function oneLine(
  tally: Tally,
  settings: LineSettings,
  lifetimeMs: number,
  stop: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const { host, port } = settings;
    const socket = connect({ host, port, noDelay: true });
    let [sent, echoed, opened, ending] = [0, 0, false, false];
    const check = lineChecker(() => opened);
    const timers: NodeJS.Timeout[] = [];
    const end = (): void => {
      ending = true;
      socket.end();
    };
    socket.setTimeout(SILENCE_MS, () =>
      socket.destroy(new Error(`silent for ${SILENCE_MS / 1000} s`)),
    );
    socket.on('data', (chunk: Buffer) => {
      const { greeted, lines } = check(chunk);
      if (greeted && !opened) {
        opened = true;
        tally.connections.opened++;
        timers.push(setInterval(() => send(), settings.intervalMs));
        if (lifetimeMs > 0) timers.push(setTimeout(end, lifetimeMs));
      }
      for (const line of lines) {
        if (line === String(echoed)) tally.messages.echoed++;
        else {
          tally.messages.wrong++;
          noteFault(
            tally,
            `wrong echo from ${host}:${port}: "${line.slice(0, 80)}", expected ${echoed}`,
          );
        }
        echoed++;
      }
    });
    const send = (): void => {
      if (ending) return;
      socket.write(`${sent++}\n`);
      tally.messages.sent++;
    };
    stop.addEventListener('abort', end, { once: true });
    let fault = 'closed by the other end';
    socket.on('error', (error) => {
      fault = error.message;
    });
    socket.on('close', () => {
      for (const timer of timers) clearInterval(timer);
      stop.removeEventListener('abort', end);
      settle(
        tally,
        { opened, clean: ending && echoed === sent },
        `${host}:${port}: ${fault} (${echoed} of ${sent} echoed)`,
      );
      resolve();
    });
  });
}

function settle(tally: Tally, line: { opened: boolean; clean: boolean }, fault: string): void {
  if (line.clean) tally.connections.ended++;
  else {
    if (line.opened) tally.connections.dropped++;
    else tally.connections.refused++;
    noteFault(tally, fault);
  }
}

/** The first line is the echo's greeting; what follows are our own lines. */
function lineChecker(
  isOpen: () => boolean,
): (chunk: Buffer) => { greeted: boolean; lines: string[] } {
  let rest = '';
  return (chunk) => {
    const parts = (rest + chunk.toString('latin1')).split('\n');
    rest = parts.pop() ?? '';
    const greeted = isOpen() || parts.length > 0;
    return { greeted, lines: isOpen() ? parts : parts.slice(1) };
  };
}

export function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      stop.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    stop.addEventListener('abort', done, { once: true });
  });
}
