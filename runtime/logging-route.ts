// Log levels seen and changed while the process runs: /logging of the admin door, in the reference proxy's form. Used by
// admin.ts. GET or POST without a query lists; `?level=debug` sets all, `?level=access=debug,other=warn` one scope each,
// `?reset` goes back to what the process started with.

import { type Answer, type Route } from './http-door.ts';
import { LOG_LEVELS, type Log, type LogLevel } from './log.ts';

const USAGE = `usage: GET  /logging                              (to list the levels)
       POST /logging?level=<level>                (to change all)
       POST /logging?level=<scope>=<level>,...    (to change the level of some scopes)
       POST /logging?reset                        (to go back to the levels of the start)
levels: ${LOG_LEVELS.join(', ')}
`;

export function loggingRoute(log: Log): Route {
  return ({ method, url }) => {
    const level = url.searchParams.get('level');
    const reset = url.searchParams.has('reset');
    if (level === null && !reset) {
      if (method === 'GET' || method === 'POST') return list(log);
      return refuse(405, `Cannot answer ${method}`);
    }
    if (method !== 'POST') return refuse(405, 'Cannot change a level by anything but POST');
    const changes = level === null || level === '' ? [] : parse(level);
    if (typeof changes === 'string') return refuse(400, changes);
    const unknown = changes.find(({ scope }) => scope !== undefined && !log.scopes().has(scope));
    if (unknown !== undefined)
      return refuse(400, `Cannot set a level: no scope "${unknown.scope}"`);
    if (reset) log.resetLevels();
    for (const { scope, level: to } of changes) log.setLevel(to, scope);
    return list(log);
  };
}

function list(log: Log): Answer {
  const scopes = [...log.scopes()].map(([scope, level]) => `,${scope}=${level}`);
  return { body: `current log level is ${log.level()}${scopes.join('')}\n` };
}

function refuse(status: number, why: string): Answer {
  return { status, body: `${why}\n${USAGE}` };
}

/** The changes, or why they cannot be read: then none of them is made. */
function parse(text: string): { scope: string | undefined; level: LogLevel }[] | string {
  const changes: { scope: string | undefined; level: LogLevel }[] = [];
  for (const part of text.split(',')) {
    const [, scope, name] = /^(?:([^=:]+)[=:])?([^=:]*)$/.exec(part) ?? [];
    const level = LOG_LEVELS.find((one) => one === name?.toLowerCase());
    if (level === undefined) return `Cannot set log level "${part.slice(0, 100)}"`;
    changes.push({ scope, level });
  }
  return changes;
}
