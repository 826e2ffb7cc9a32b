// Settings from the environment. Each is declared where it is read, with its default; every problem is collected and
// told at once by finish(), so that an operator mends a deployment in one round.

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

export class SettingsReader {
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #problems: string[] = [];

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#env = env;
  }

  optional(name: string): string | undefined {
    const value = this.#env[name];
    return value === undefined || value === '' ? undefined : value;
  }

  /** Required when no default is given. */
  text(name: string, fallback?: string): string {
    const value = this.optional(name) ?? fallback;
    if (value === undefined) this.#problems.push(`${name} is not set and has no default`);
    return value ?? '';
  }

  integer(
    name: string,
    fallback: number,
    range: { readonly min?: number; readonly max?: number } = {},
  ): number {
    const { min = 0, max = Number.MAX_SAFE_INTEGER } = range;
    const value = this.optional(name);
    if (value === undefined) return fallback;
    const number = /^-?\d+$/.test(value) ? Number(value) : Number.NaN;
    if (number >= min && number <= max) return number;
    this.#problems.push(`${name} is "${value}": expected a whole number from ${min} to ${max}`);
    return fallback;
  }

  /** `500ms`, `30s`, `5m`, `24h`, `7d` -> milliseconds. */
  durationMs(name: string, fallbackMs: number): number {
    const value = this.optional(name);
    if (value === undefined) return fallbackMs;
    const [, digits, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value) ?? [];
    const factor = unit === undefined ? undefined : UNITS_MS[unit];
    if (digits !== undefined && factor !== undefined) return Number(digits) * factor;
    this.#problems.push(`${name} is "${value}": expected a duration such as 500ms, 30s, 5m or 24h`);
    return fallbackMs;
  }

  flag(name: string, fallback: boolean): boolean {
    return this.oneOf(name, ['true', 'false'], fallback ? 'true' : 'false') === 'true';
  }

  /** A part of all: a number from 0 to 1. */
  fraction(name: string, fallback: number): number {
    const value = this.optional(name);
    if (value === undefined) return fallback;
    const number = /^\d*\.?\d+$/.test(value) ? Number(value) : Number.NaN;
    if (number >= 0 && number <= 1) return number;
    this.#problems.push(`${name} is "${value}": expected a number from 0 to 1`);
    return fallback;
  }

  oneOf<const T extends string>(name: string, choices: readonly T[], fallback: NoInfer<T>): T {
    const value = this.optional(name);
    if (value === undefined) return fallback;
    const choice = choices.find((candidate) => candidate === value);
    if (choice !== undefined) return choice;
    this.#problems.push(`${name} is "${value}": expected one of ${choices.join(', ')}`);
    return fallback;
  }

  /** Comma separated; blanks and empty parts are dropped. */
  list(name: string, fallback: readonly string[]): string[] {
    const value = this.optional(name);
    if (value === undefined) return [...fallback];
    return value
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
  }

  /** Parses with the caller's own reader; whatever it throws becomes this setting's problem. */
  parsed<T>(name: string, parse: (text: string) => T, fallback: T): T {
    const value = this.optional(name);
    if (value === undefined) return fallback;
    try {
      return parse(value);
    } catch (error) {
      this.#problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      return fallback;
    }
  }

  /** @throws ConfigError naming every problem met so far */
  finish(): void {
    if (this.#problems.length === 0) return;
    throw new ConfigError(
      `Cannot start: ${this.#problems.length} wrong setting(s) in the environment:\n  ${this.#problems.join('\n  ')}`,
    );
  }
}
