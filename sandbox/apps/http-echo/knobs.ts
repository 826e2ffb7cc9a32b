// What a request asks the echo to do besides answering, by its path and query. Pure; read by serve.ts. Whatever makes no
// sense is no knob: an echo never refuses a request.
//   ?delay=500ms            answer so much later
//   ?codes=503:1,200:9      answer with one of these statuses, by weight
//   ?headers=name:value     set response headers
//   /status/NNN             answer with this status
//   /retry...?uuid=K&succeedAfter=N[&responseCode=C][&delayRetry=1s]
//                           fail the first N tries with key K: with status C, or without it by a reset connection
//   X-Echo-Set-Header: a:b, c:d    (a header) the same as ?headers=

export type Knobs = {
  readonly delayMs: number;
  readonly status: number;
  readonly setHeaders: readonly (readonly [name: string, value: string])[];
  readonly retry: Retry | undefined;
};

export type Retry = {
  readonly key: string;
  readonly failures: number;
  /** undefined: the connection is reset. */
  readonly status: number | undefined;
  readonly delayMs: number;
};

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };
// an answer later than this is a connection that hangs, and there are better ways to have one
const MAX_DELAY_MS = 10 * 60_000;

/** @param chance from 0 up to, not including, 1 */
export function readKnobs(
  target: string,
  setHeader: string | undefined,
  chance: () => number,
): Knobs {
  const [path, query] = split(target);
  const params = new URLSearchParams(query);
  return {
    delayMs: durationMs(params.get('delay')),
    status: statusOf(path) ?? statusByWeight(params.get('codes'), chance) ?? 200,
    setHeaders: [...params.getAll('headers').flatMap(headerLines), ...headerLines(setHeader ?? '')],
    retry: path.startsWith('/retry') ? retryOf(params) : undefined,
  };
}

function split(target: string): [path: string, query: string] {
  const at = target.indexOf('?');
  return at < 0 ? [target, ''] : [target.slice(0, at), target.slice(at + 1)];
}

function statusOf(path: string): number | undefined {
  return asStatus(/^\/status\/(\d{3})(?:\/|$)/.exec(path)?.[1]);
}

/** A final status; undefined for anything else. */
function asStatus(text: string | null | undefined): number | undefined {
  return /^[2-5]\d\d$/.test(text ?? '') ? Number(text) : undefined;
}

function statusByWeight(codes: string | null, chance: () => number): number | undefined {
  const choices = (codes ?? '').split(',').flatMap((part) => {
    const [code, weight = '1'] = part.split(':');
    const status = asStatus(code);
    return status === undefined || !/^\d{1,6}$/.test(weight) ? [] : [{ status, weight: +weight }];
  });
  const total = choices.reduce((sum, { weight }) => sum + weight, 0);
  let left = chance() * total;
  for (const { status, weight } of choices) {
    left -= weight;
    if (left < 0) return status;
  }
  return undefined;
}

/** `a:b, c:d`; a name may be there twice. */
function headerLines(text: string): [string, string][] {
  return text.split(',').flatMap((part): [string, string][] => {
    const [, name, value = ''] = /^\s*([\w!#$%&'*+.^`|~-]+):(.*)$/.exec(part) ?? [];
    return name === undefined ? [] : [[name, value.trim()]];
  });
}

function retryOf(params: URLSearchParams): Retry | undefined {
  const key = params.get('uuid');
  if (key === null || key === '') return undefined;
  const failures = params.get('succeedAfter') ?? '';
  return {
    key,
    failures: /^\d{1,4}$/.test(failures) ? Number(failures) : 0,
    status: asStatus(params.get('responseCode')),
    delayMs: durationMs(params.get('delayRetry')),
  };
}

/** `500ms`, `1s`, `0.5s`; 0 for anything else. */
function durationMs(text: string | null): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text ?? '') ?? [];
  return number === undefined ? 0 : Math.min(Number(number) * (UNITS_MS[unit] ?? 0), MAX_DELAY_MS);
}
