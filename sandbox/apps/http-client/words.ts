// The words of the HTTP client's command line, as a value. Pure; called by main.ts for its arguments and for each line of
// a batch. Invariant: path and query go out as they were written, never normalised.

export const SCHEMES = ['http', 'https', 'h2c', 'h2', 'grpc', 'ws', 'tcp'] as const;
export type Scheme = (typeof SCHEMES)[number];

export type Order = {
  readonly scheme: Scheme;
  /** As written: what goes into Host or `:authority` unless a header says otherwise. */
  readonly authority: string;
  /** Path and query; empty when none was written. */
  readonly target: string;
  /** Where the connection goes. */
  readonly host: string;
  readonly port: number;
  readonly method: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  readonly count: number;
  /** For all of `count` together. */
  readonly timeoutMs: number;
  /** Of TLS; undefined: the host of the address. */
  readonly serverName: string | undefined;
  /** Whom to believe; undefined: whatever certificate is shown. */
  readonly caFile: string | undefined;
};

export const USAGE = `Usage: client SCHEME://HOST[:PORT][PATH] [options]
       client --batch          the same for each line of standard input, a JSON list of words

Schemes: ${SCHEMES.join(', ')}
  --method=M           default GET
  -H "Name: value"     any number of times, in this order; Host replaces the address's
  --body=TEXT
  --count=N            so many requests, 20 at once (default: 1)
  --timeout=MS         for all of them together (default: 5000)
  --connect=HOST:PORT  connect there instead
  --server-name=NAME   of TLS
  --ca=FILE            of TLS; without it any certificate will do
`;

const DEFAULT_PORTS: Readonly<Record<Scheme, number>> = {
  http: 80,
  https: 443,
  h2c: 80,
  h2: 443,
  grpc: 7070,
  ws: 80,
  tcp: 9090,
};
const DEFAULT_TIMEOUT_MS = 5000;
const MAX_COUNT = 100_000;

/** @throws SyntaxError that names the word */
export function readOrder(words: readonly string[]): Order {
  const { url, headers, given } = sortWords(words);
  if (url === undefined) throw new SyntaxError('No address; say for example http://echo/path');
  const { scheme, authority, target } = readUrl(url);
  return {
    scheme,
    authority,
    target,
    ...placeOf(given.get('connect') ?? authority, DEFAULT_PORTS[scheme]),
    method: given.get('method') ?? 'GET',
    headers,
    body: given.get('body') ?? '',
    count: wholeNumber('count', given.get('count'), 1, MAX_COUNT),
    timeoutMs: wholeNumber('timeout', given.get('timeout'), DEFAULT_TIMEOUT_MS, 3_600_000),
    serverName: given.get('server-name'),
    caFile: given.get('ca'),
  };
}

type Sorted = {
  readonly url: string | undefined;
  readonly headers: readonly [string, string][];
  readonly given: ReadonlyMap<string, string>;
};

function sortWords(words: readonly string[]): Sorted {
  const given = new Map<string, string>();
  const headers: [string, string][] = [];
  let url: string | undefined;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    const [, name, value = ''] = /^--([a-z-]+)=([^]*)$/.exec(word) ?? [];
    if (word === '-H') headers.push(headerOf(words[++i] ?? ''));
    else if (name !== undefined && OPTIONS.has(name)) given.set(name, value);
    else if (word.startsWith('-')) throw new SyntaxError(`Unknown option "${word}"`);
    else if (url !== undefined) throw new SyntaxError(`Unexpected "${word}" after ${url}`);
    else url = word;
  }
  return { url, headers, given };
}

function readUrl(url: string): Pick<Order, 'scheme' | 'authority' | 'target'> {
  const [, named, authority = '', rest = ''] = /^(\w+):\/\/([^/?#]+)([^#]*)$/.exec(url) ?? [];
  const scheme = SCHEMES.find((one) => one === named);
  if (scheme === undefined) {
    throw new SyntaxError(`Cannot call "${url}": use SCHEME://HOST with ${SCHEMES.join(', ')}`);
  }
  return { scheme, authority, target: rest.startsWith('?') ? `/${rest}` : rest };
}

const OPTIONS: ReadonlySet<string> = new Set([
  'method',
  'body',
  'count',
  'timeout',
  'connect',
  'server-name',
  'ca',
]);

function headerOf(text: string): [string, string] {
  const [, name, value = ''] = /^([^:\s]+):\s*([^]*)$/.exec(text) ?? [];
  if (name === undefined) throw new SyntaxError(`"${text}" is no header; say "Name: value"`);
  return [name, value];
}

/** `host`, `host:80`, `[::1]:80`. */
export function placeOf(authority: string, otherwise: number): { host: string; port: number } {
  const [, v6, name, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(authority) ?? [];
  const host = v6 ?? name;
  if (host === undefined) throw new SyntaxError(`"${authority}" is no HOST or HOST:PORT`);
  return { host, port: port === undefined ? otherwise : Number(port) };
}

function wholeNumber(
  name: string,
  text: string | undefined,
  fallback: number,
  max: number,
): number {
  if (text === undefined) return fallback;
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > max) {
    throw new SyntaxError(`--${name}=${text}: expected a whole number from 1 to ${max}`);
  }
  return value;
}
