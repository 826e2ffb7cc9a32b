// What can be wrong with a route as its author wrote it. Thrown by the readers of rules, matches and filters, caught rule by
// rule in rules.ts: one place decides what a fault costs.

/** `route`: a word this version does not know, which the Gateway API says costs the whole route. `rule`: that rule only. */
export type FaultScope = 'route' | 'rule';

export class RouteFault extends Error {
  override readonly name = 'RouteFault';
  readonly reason: 'UnsupportedValue' | 'IncompatibleFilters';
  readonly scope: FaultScope;

  constructor(
    scope: FaultScope,
    message: string,
    reason: RouteFault['reason'] = 'UnsupportedValue',
  ) {
    super(message);
    this.scope = scope;
    this.reason = reason;
  }
}

/** @throws RouteFault always: `value` is none of those the word may have */
export function unknownWord(what: string, value: string, known: readonly string[]): never {
  throw new RouteFault('route', `${what} "${value}" is not supported: use ${known.join(', ')}`);
}

/** @throws RouteFault always */
export function badValue(message: string): never {
  throw new RouteFault('rule', message);
}

// What JavaScript counts exactly: a larger number could not travel to waypoints.
const MAX_COUNT = Number.MAX_SAFE_INTEGER;

/** The schema of a cluster sees to it; one that does not must not make a route no waypoint can read. @throws RouteFault */
export function wholeNumber(
  what: string,
  value: number,
  { min = 0, max = MAX_COUNT }: { readonly min?: number; readonly max?: number } = {},
): number {
  const fits = Number.isInteger(value) && value >= min && value <= max;
  return fits ? value : badValue(`${what} ${value} is not a whole number from ${min} to ${max}`);
}

/** A reference that leads nowhere: only what it was for fails, with 500. */
export type BrokenReference = {
  readonly reason: 'BackendNotFound' | 'InvalidKind' | 'RefNotPermitted' | 'UnsupportedProtocol';
  readonly message: string;
};
