// Which lines an access log writes, decided before a line is made: connections of a node agent, requests of a waypoint. Level
// and scope are the log's own and change at run time (/logging). Invariant: what ended badly is always told, unless its
// namespace or its flag is not asked for.

import type { SettingsReader } from './env.ts';
import type { Log, LogLevel } from './log.ts';

export type AccessFilter = {
  /** Either end in one of these; all when it is empty. */
  readonly namespaces: readonly string[];
  readonly errorsOnly: boolean;
  /** Response flags, `-` for what ended well; all when it is empty. */
  readonly flags: readonly string[];
  /** Of what ended well, the part that is told: 0 to 1. */
  readonly sampling: number;
};

export const EVERYTHING: AccessFilter = {
  namespaces: [],
  errorsOnly: false,
  flags: [],
  sampling: 1,
};

/** Where it came from and where it went: whatever is known of either. */
export type Ends = {
  readonly from: { readonly namespace: string } | undefined;
  readonly to: { readonly namespace: string } | undefined;
};

export class AccessGate {
  readonly #log: Pick<Log, 'writes'>;
  readonly #filter: AccessFilter;
  readonly #random: () => number;

  constructor(
    parts: { readonly log: Pick<Log, 'writes'>; readonly random?: (() => number) | undefined },
    filter: AccessFilter,
  ) {
    this.#log = parts.log;
    this.#filter = filter;
    this.#random = parts.random ?? Math.random;
  }

  /** Whether a line of that level is written for what goes on between these. */
  concerns(level: Exclude<LogLevel, 'off'>, ends: Ends): boolean {
    if (!this.#log.writes(level)) return false;
    const { namespaces } = this.#filter;
    if (namespaces.length === 0) return true;
    const isAsked = (end: { readonly namespace: string } | undefined): boolean =>
      end !== undefined && namespaces.includes(end.namespace);
    return isAsked(ends.from) || isAsked(ends.to);
  }

  /** Whether the end of it is told. `flags` has at least one, `-` when it ended well. */
  tells(
    level: Exclude<LogLevel, 'off'>,
    ends: Ends,
    ended: { readonly flags: readonly string[]; readonly bad: boolean },
  ): boolean {
    const { flags, errorsOnly, sampling } = this.#filter;
    if (flags.length > 0 && !ended.flags.some((flag) => flags.includes(flag))) return false;
    if (errorsOnly && !ended.bad) return false;
    if (!this.concerns(level, ends)) return false;
    return ended.bad || sampling >= 1 || this.#random() < sampling;
  }
}

/** `known`: every flag that there is; another in the setting would wait for a line that never comes. */
export function readAccessFilter(env: SettingsReader, known: ReadonlySet<string>): AccessFilter {
  return {
    namespaces: env.list('AMBIT_ACCESS_LOG_NAMESPACES', []),
    errorsOnly: env.flag('AMBIT_ACCESS_LOG_ERRORS_ONLY', false),
    flags: env.parsed('AMBIT_ACCESS_LOG_FLAGS', (text) => readFlags(text, known), []),
    sampling: env.fraction('AMBIT_ACCESS_LOG_SAMPLING', 1),
  };
}

/** @throws Error naming a flag that nothing ends with */
function readFlags(text: string, known: ReadonlySet<string>): string[] {
  const flags = text.split(',').map((flag) => flag.trim());
  const unknown = flags.find((flag) => !known.has(flag));
  if (unknown === undefined) return flags;
  throw new Error(`"${unknown}" is none of ${[...known].join(', ')}`);
}
