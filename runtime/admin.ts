// The three small HTTP doors every component has: admin (loopback only, for people and the cli), metrics and readiness.
// Started by each composition root; closed by it. What changes something is POST only.

import {
  type Door,
  type OpenDoor,
  openDoor,
  postOnly,
  type Route,
  type Routes,
} from './http-door.ts';
import type { Log } from './log.ts';
import { loggingRoute } from './logging-route.ts';
import type { Metrics } from './metrics.ts';
import { cpuProfileRoute, heapProfileRoute } from './profile.ts';
import type { Readiness } from './readiness.ts';

export type { Answer, Door, Route } from './http-door.ts';

export type Admin = {
  readonly ports: { readonly admin: number; readonly metrics: number; readonly ready: number };
  close(): Promise<void>;
};

export type AdminParts = {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly readiness: Readiness;
  /** Ends the process politely, as SIGTERM does; /quitquitquit is there only with it. */
  readonly quit?: (why: string) => void;
};

export type AdminDoors = { readonly admin: Door; readonly metrics: Door; readonly ready: Door };

/** @throws Error naming the door whose address is taken */
export async function startAdmin(
  parts: AdminParts,
  settings: AdminDoors,
  routes: Routes = {},
): Promise<Admin> {
  const { log, quit } = parts;
  const scrape: Route = ({ accept }) => parts.metrics.exposition(accept);
  const ready: Route = ({ method, url }) => readyAnswer(method, url, parts.readiness);
  const table: Routes = {
    '/ready': ready,
    '/metrics': scrape,
    '/logging': loggingRoute(log),
    '/debug/pprof/profile': cpuProfileRoute(),
    '/debug/pprof/heap': heapProfileRoute(),
    ...(quit === undefined ? {} : { '/quitquitquit': postOnly(quitRoute(quit)) }),
    ...routes,
  };
  const opened: OpenDoor[] = [];
  const open = async (name: string, door: Door, served: Routes): Promise<number> => {
    const one = await openDoor(door, served, log).catch((cause: unknown) => {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new Error(
        `Cannot open the ${name} door at ${door.host}:${door.port}: ${why}; end what holds the port, or set another one`,
        { cause },
      );
    });
    opened.push(one);
    return one.port;
  };
  const close = async (): Promise<void> => {
    await Promise.all(opened.map((door) => door.close()));
  };
  try {
    return {
      ports: {
        admin: await open('admin', settings.admin, { '/': indexRoute(table), ...table }),
        metrics: await open('metrics', settings.metrics, {
          '/metrics': scrape,
          '/stats/prometheus': scrape,
        }),
        ready: await open('ready', settings.ready, { '/healthz/ready': ready }),
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * 200 `ready`, 500 with the blockers, 405 for anything but GET: as the reference node proxy answers. `?verbose` adds the
 * details of each part, as Kubernetes' own `/readyz?verbose`.
 */
function readyAnswer(method: string, url: URL, readiness: Readiness): ReturnType<Route> {
  if (method !== 'GET') return { status: 405, body: 'Cannot answer: only GET is served here\n' };
  const pending = readiness.pending();
  const detail = url.searchParams.has('verbose') ? readiness.report() : '';
  if (pending.length === 0) return { body: `${detail}ready\n` };
  return { status: 500, body: `${detail}not ready, pending: ${pending.join(', ')}\n` };
}

function quitRoute(quit: (why: string) => void): Route {
  return () => {
    // after this turn, so that the answer is on its way
    setImmediate(() => quit('/quitquitquit'));
    return { body: 'shutdown now\n' };
  };
}

function indexRoute(table: Routes): Route {
  const rows = Object.keys(table)
    .map((path) => `<li><a href="${path.slice(1)}">${path}</a></li>`)
    .join('\n');
  return () => ({
    contentType: 'text/html; charset=utf-8',
    body: `<!doctype html>\n<title>Ambit</title>\n<ul>\n${rows}\n</ul>\n`,
  });
}
