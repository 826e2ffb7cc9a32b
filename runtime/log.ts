// Structured log lines, one JSON object (or one readable line) each, on stderr so that stdout stays a program's answer.
// Every component makes one at start and passes children on. The only importer of pino. Invariant: nobody waits for the
// reader of our lines: what does not fit the queue is dropped and counted.

import { destination, type Logger, pino } from 'pino';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'off'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Extra facts of a line; a key `error` may hold an Error, whose causes are followed. */
export type Fields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** Whether a line of that level would be written: for lines that cost something to make. */
  writes(level: Exclude<LogLevel, 'off'>): boolean;
  /** A log whose every line also carries `fields`; a field `scope` names a level of its own. */
  child(fields: Fields): Log;
  /** The level of this log, or of its scope. */
  level(): LogLevel;
  /** The scopes there are, each with its level. */
  scopes(): ReadonlyMap<string, LogLevel>;
  /** Changes the level of one scope, or of everything made from the same root. */
  setLevel(level: LogLevel, scope?: string): void;
  /** Back to the levels of the start. */
  resetLevels(): void;
  /** Lines that were dropped because nobody read them. */
  dropped(): number;
}

export type LogSettings = {
  readonly component: string;
  readonly level?: LogLevel;
  readonly format?: 'json' | 'text';
  /** Where lines go, newline included; stderr without it. */
  readonly write?: (line: string) => void;
};

/** Some 10,000 lines, as the reference queues; a reader that hangs longer loses the newest, not our memory. */
const MAX_QUEUED_BYTES = 4 * 1024 * 1024;

/** What all logs of one root share. */
type Root = {
  readonly start: LogLevel;
  readonly gates: Map<string, Gate>;
  readonly counts: { dropped: number };
};
type Gate = { level: LogLevel };

/** The gate of what names no scope. */
const NO_SCOPE = '';

export function createLog(settings: LogSettings): Log {
  const counts = { dropped: 0 };
  const write = settings.write ?? stderrWriter(counts);
  const line = settings.format === 'text' ? (json: string) => write(asText(json)) : write;
  const logger = pino(
    {
      // gates decide, so that a scope can be turned up and down whenever it was made
      level: 'debug',
      base: { component: settings.component },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: describeError },
    },
    { write: line },
  );
  const start = settings.level ?? 'info';
  return wrap(logger, { start, gates: new Map([[NO_SCOPE, { level: start }]]), counts }, NO_SCOPE);
}

/** A log that goes nowhere, for parts whose caller does not want lines. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  writes: () => false,
  child: () => silentLog,
  level: () => 'off',
  scopes: () => new Map(),
  setLevel() {},
  resetLevels() {},
  dropped: () => 0,
};

function wrap(logger: Logger, root: Root, scope: string): Log {
  const gate = gateOf(root, scope);
  const writes = (level: LogLevel): boolean =>
    LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(gate.level);
  return {
    debug: (message, fields) => {
      if (writes('debug')) logger.debug(fields ?? {}, message);
    },
    info: (message, fields) => {
      if (writes('info')) logger.info(fields ?? {}, message);
    },
    warn: (message, fields) => {
      if (writes('warn')) logger.warn(fields ?? {}, message);
    },
    error: (message, fields) => {
      if (writes('error')) logger.error(fields ?? {}, message);
    },
    writes,
    child: (fields) =>
      wrap(
        logger.child(fields),
        root,
        typeof fields['scope'] === 'string' ? fields['scope'] : scope,
      ),
    level: () => gate.level,
    scopes: () =>
      new Map(
        [...root.gates]
          .filter(([name]) => name !== NO_SCOPE)
          .map(([name, { level }]) => [name, level]),
      ),
    setLevel(level, only) {
      for (const [name, one] of root.gates) {
        if (only === undefined || name === only) one.level = level;
      }
    },
    resetLevels() {
      for (const one of root.gates.values()) one.level = root.start;
    },
    dropped: () => root.counts.dropped,
  };
}

function gateOf(root: Root, scope: string): Gate {
  const known = root.gates.get(scope);
  if (known !== undefined) return known;
  const gate = { level: root.gates.get(NO_SCOPE)?.level ?? root.start };
  root.gates.set(scope, gate);
  return gate;
}

function stderrWriter(counts: { dropped: number }): (line: string) => void {
  const sink = destination({ fd: 2, sync: false, maxLength: MAX_QUEUED_BYTES });
  sink.on('error', () => {
    // nobody reads our stderr any more: going on without a log beats dying of it
  });
  sink.on('drop', () => {
    counts.dropped++;
  });
  // the last words of a process are written before it is gone
  process.on('exit', () => {
    try {
      sink.flushSync();
    } catch {
      // stderr is closed, or was never ready
    }
  });
  return (line) => sink.write(line);
}

/** `code: message, caused by ...`, and the stack for what nobody foresaw (no code). */
function describeError(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const causes: string[] = [];
  let depth = 0;
  for (let cause = value.cause; cause instanceof Error && depth < 5; cause = cause.cause) {
    causes.push(cause.message);
    depth++;
  }
  const code = 'code' in value ? String(value.code) : undefined;
  return {
    message: value.message,
    ...(code === undefined ? { stack: value.stack } : { code }),
    ...(causes.length === 0 ? {} : { causes }),
  };
}

/** `time<TAB>level<TAB>scope<TAB>message<TAB>key="value" ...`: the reference's form; microseconds are padded. */
function asText(json: string): string {
  const { time, level, component, scope, message, ...rest } = JSON.parse(json) as Record<
    string,
    unknown
  >;
  const facts = Object.entries(rest).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  const at = String(time).replace(/Z$/, '000Z');
  const head = [at, level, scope ?? component, message].join('\t');
  return facts.length === 0 ? `${head}\n` : `${head}\t${facts.join(' ')}\n`;
}
