// CPU and heap profiles on demand, in V8's own JSON (.cpuprofile and .heapprofile: Chrome's DevTools, VS Code, speedscope
// read them). Used by admin.ts. Invariant: one profile at a time, for it slows everything down; an abandoned one is ended.

import { Session } from 'node:inspector/promises';
import type { Answer, Route } from './http-door.ts';

/** The reference's bounds and default, in seconds. */
const SECONDS = { min: 1, max: 300, fallback: 10 } as const;
/** Samples a second: bounds and default of the reference. */
const HERTZ = { min: 1, max: 1000, fallback: 100 } as const;
/** Bytes between two sampled allocations: V8's own default, some percent of cost. */
const HEAP_SAMPLE_BYTES = 32_768;

type Range = { readonly min: number; readonly max: number; readonly fallback: number };

/** `?seconds=10&frequency=100` */
export function cpuProfileRoute(): Route {
  return exclusive('cpuprofile', async (session, { seconds, url, signal }) => {
    const hertz = numberOf(url, 'frequency', HERTZ);
    if (typeof hertz === 'string') return hertz;
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: Math.round(1e6 / hertz) });
    await session.post('Profiler.start');
    await pause(seconds, signal);
    const { profile } = await session.post('Profiler.stop');
    return profile;
  });
}

/** What is allocated while it runs and still alive at its end; `?seconds=10` */
export function heapProfileRoute(): Route {
  return exclusive('heapprofile', async (session, { seconds, signal }) => {
    await session.post('HeapProfiler.enable');
    await session.post('HeapProfiler.startSampling', { samplingInterval: HEAP_SAMPLE_BYTES });
    await pause(seconds, signal);
    const { profile } = await session.post('HeapProfiler.stopSampling');
    return profile;
  });
}

type Asked = { readonly seconds: number; readonly url: URL; readonly signal: AbortSignal };

/** `take` gives the profile, or a sentence on what is wrong with the request. */
function exclusive(
  ending: string,
  take: (session: Session, asked: Asked) => Promise<object | string>,
): Route {
  let busy = false;
  return async ({ method, url, signal }): Promise<Answer> => {
    if (method !== 'GET') return { status: 405, body: 'Cannot answer: only GET is served here\n' };
    const seconds = numberOf(url, 'seconds', SECONDS);
    if (typeof seconds === 'string') return { status: 400, body: `${seconds}\n` };
    if (busy) return { status: 409, body: 'Cannot profile: another profile is being taken\n' };
    busy = true;
    const session = new Session();
    session.connect();
    try {
      const profile = await take(session, { seconds, url, signal });
      if (typeof profile === 'string') return { status: 400, body: `${profile}\n` };
      return {
        contentType: 'application/json',
        headers: { 'content-disposition': `attachment; filename="ambit-${process.pid}.${ending}"` },
        body: JSON.stringify(profile),
      };
    } finally {
      // ends whatever still runs in it
      session.disconnect();
      busy = false;
    }
  };
}

function numberOf(url: URL, name: string, { min, max, fallback }: Range): number | string {
  const text = url.searchParams.get(name);
  if (text === null) return fallback;
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max) return number;
  return `Cannot profile: ${name} is "${text.slice(0, 20)}", expected a whole number from ${min} to ${max}`;
}

/** @throws the signal's reason */
function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timeout);
      reject(signal.reason as Error);
    };
    const timeout = setTimeout(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, seconds * 1000);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}
