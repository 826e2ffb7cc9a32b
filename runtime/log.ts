// Structured log lines, one JSON object (or one readable line) each, on stderr so that stdout stays a program's answer.
// Every component makes one at start and passes children on. The only importer of pino.

import { destination, type Logger, pino } from 'pino';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Extra facts of a line; a key `error` may hold an Error, whose causes are followed. */
export type Fields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** A log whose every line also carries `fields`. */
  child(fields: Fields): Log;
  /** Changes the level of this log; children made later follow. */
  setLevel(level: LogLevel): void;
}

export type LogSettings = {
  readonly component: string;
  readonly level?: LogLevel;
  readonly format?: 'json' | 'text';
  /** Where lines go, newline included; stderr without it. */
  readonly write?: (line: string) => void;
};

export function createLog(settings: LogSettings): Log {
  const write = settings.write ?? stderrWriter();
  const line = settings.format === 'text' ? (json: string) => write(asText(json)) : write;
  const logger = pino(
    {
      level: settings.level ?? 'info',
      base: { component: settings.component },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      messageKey: 'message',
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: describeError },
    },
    { write: line },
  );
  return wrap(logger);
}

/** A log that goes nowhere, for parts whose caller does not want lines. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
  setLevel() {},
};

function wrap(logger: Logger): Log {
  return {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
    child: (fields) => wrap(logger.child(fields)),
    setLevel(level) {
      logger.level = level;
    },
  };
}

function stderrWriter(): (line: string) => void {
  // synchronous: a line written just before an exit is not lost, and stderr is a pipe or file somebody reads
  const sink = destination({ fd: 2, sync: true });
  sink.on('error', () => {
    // nobody reads our stderr any more: going on without a log beats dying of it
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

function asText(json: string): string {
  const { time, level, component, message, ...rest } = JSON.parse(json) as Record<string, unknown>;
  const facts = Object.entries(rest).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return `${[time, level, component, message, ...facts].join('\t')}\n`;
}
