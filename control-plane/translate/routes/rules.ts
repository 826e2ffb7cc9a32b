// Rules of a route -> mesh RouteRules, as they are for one facet of it, and what of them is wrong. Called by routes.ts. A
// rule that cannot be is dropped; when none is left, or a word is not known at all, the whole route is refused.

import { createHash } from 'node:crypto';
import type {
  Backend,
  RouteFilter,
  RouteMatch,
  RouteRetry,
  RouteRule,
  SessionPersistence,
} from '../../../mesh/route.ts';
import type {
  GrpcMatchSpec,
  HttpMatchSpec,
  RouteBackendRef,
  RouteRuleSpec,
  SessionPersistenceSpec,
} from '../../../runtime/kubernetes/route-objects.ts';
import { type ReferenceContext, targetOf } from './backends.ts';
import { durationMs, optionalMs } from './durations.ts';
import { type BrokenReference, badValue, RouteFault, unknownWord, wholeNumber } from './faults.ts';
import { filtersOf } from './filters.ts';
import { type CheckRegex, grpcMatchOf, httpMatchOf } from './matches.ts';
import type { RouteSource } from './route-objects.ts';

export type TranslatedRules = {
  readonly rules: readonly RouteRule[];
  readonly broken: readonly BrokenReference[];
  /** What was dropped and why, a sentence a rule. */
  readonly dropped: readonly string[];
  /** Why the whole route cannot be; then `rules` is empty. */
  readonly refusal: RouteFault | undefined;
};

export type RulesContext = Omit<ReferenceContext, 'broken'> & { readonly checkRegex: CheckRegex };

const DEFAULT_WEIGHT = 1;
const MAX_WEIGHT = 1_000_000;
// The Gateway API leaves it open; two is what meshes are known for.
const DEFAULT_ATTEMPTS = 2;

export function rulesOf(context: RulesContext): TranslatedRules {
  const { kind, object } = context.source;
  const broken: BrokenReference[] = [];
  const specs = object.spec?.rules ?? (kind === 'http' ? [{}] : []);
  if (!Array.isArray(specs)) {
    const refusal = new RouteFault('route', 'The route cannot be read: its rules are no list');
    return { rules: [], broken, dropped: [], refusal };
  }
  const rules: RouteRule[] = [];
  const dropped: string[] = [];
  let first: RouteFault | undefined;
  for (const [index, spec] of specs.entries()) {
    const found: BrokenReference[] = [];
    try {
      rules.push(ruleOf(spec, index, { ...context, broken: found }));
      broken.push(...found);
    } catch (error) {
      const fault = faultOf(error);
      if (fault.scope === 'route') return { rules: [], broken, dropped: [], refusal: fault };
      first ??= fault;
      dropped.push(`${titleOf(spec, index)}: ${fault.message}`);
    }
  }
  const refusal = rules.length === 0 ? first : undefined;
  return { rules, broken, dropped, refusal };
}

/** A schema keeps bad shapes out of the cluster; one that slipped through must not stop everybody else's updates. */
function faultOf(error: unknown): RouteFault {
  if (error instanceof RouteFault) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new RouteFault('route', `The route cannot be read: ${message}`);
}

function titleOf({ name }: RouteRuleSpec<unknown>, index: number): string {
  return name === undefined ? `rule ${index + 1}` : `rule ${index + 1} (${name})`;
}

type RuleContext = ReferenceContext & { readonly checkRegex: CheckRegex };

function ruleOf(spec: RouteRuleSpec<unknown>, index: number, context: RuleContext): RouteRule {
  const { kind } = context.source;
  const backends = (spec.backendRefs ?? []).map((ref) => backendOf(ref, context));
  if (kind === 'tls' || kind === 'tcp') return { ...PLAIN_RULE, name: spec.name, backends };
  const matches = matchesOf(spec, context);
  const filters = filtersOf(spec.filters, context);
  requirePrefix(matches, [...filters, ...backends.flatMap((backend) => backend.filters)]);
  return {
    name: spec.name,
    matches,
    filters,
    backends,
    requestTimeoutMs: optionalMs(spec.timeouts?.request, 'timeouts.request'),
    backendTimeoutMs: optionalMs(spec.timeouts?.backendRequest, 'timeouts.backendRequest'),
    retry: spec.retry === undefined ? undefined : retryOf(spec.retry),
    sessionPersistence:
      spec.sessionPersistence === undefined
        ? undefined
        : persistenceOf(spec.sessionPersistence, context.source, spec.name ?? String(index)),
  };
}

/** Of connections nothing but where they go. */
const PLAIN_RULE: RouteRule = {
  name: undefined,
  matches: [],
  filters: [],
  backends: [],
  requestTimeoutMs: undefined,
  backendTimeoutMs: undefined,
  retry: undefined,
  sessionPersistence: undefined,
};

function matchesOf(
  spec: RouteRuleSpec<unknown>,
  { source, checkRegex }: RuleContext,
): RouteMatch[] {
  if (source.kind === 'grpc') {
    const matches = (spec.matches ?? []) as readonly GrpcMatchSpec[];
    return matches.map((match) => grpcMatchOf(match, checkRegex));
  }
  const matches = (spec.matches ?? []) as readonly HttpMatchSpec[];
  // without any it is the prefix `/`, as the API server fills in
  return (matches.length === 0 ? [{}] : matches).map((match) => httpMatchOf(match, checkRegex));
}

function requirePrefix(matches: readonly RouteMatch[], filters: readonly RouteFilter[]): void {
  const replaces = filters.some(
    (filter) =>
      (filter.kind === 'redirect' || filter.kind === 'rewrite') && filter.path?.type === 'prefix',
  );
  if (replaces && matches.some(({ path }) => path?.type !== 'prefix')) {
    badValue('ReplacePrefixMatch needs a PathPrefix in every match of its rule');
  }
}

function backendOf(ref: RouteBackendRef, context: RuleContext): Backend {
  const { weight = DEFAULT_WEIGHT } = ref;
  wholeNumber(`Weight of backend ${ref.name}`, weight, { max: MAX_WEIGHT });
  const filters =
    context.source.kind === 'tls' || context.source.kind === 'tcp'
      ? []
      : filtersOf(ref.filters, context);
  return { target: targetOf(ref, context), weight, filters };
}

function retryOf({
  codes = [],
  attempts = DEFAULT_ATTEMPTS,
  backoff,
}: NonNullable<RouteRuleSpec<unknown>['retry']>): RouteRetry {
  for (const code of codes) wholeNumber('Status to retry', code, { min: 400, max: 599 });
  wholeNumber('retry.attempts', attempts);
  return { codes, attempts, backoffMs: optionalMs(backoff, 'retry.backoff') };
}

const PERSISTENCE: Readonly<Record<string, SessionPersistence['type']>> = {
  Cookie: 'cookie',
  Header: 'header',
};

function persistenceOf(
  spec: SessionPersistenceSpec,
  source: RouteSource,
  rule: string,
): SessionPersistence {
  const { type = 'Cookie', absoluteTimeout, idleTimeout, cookieConfig } = spec;
  const { lifetimeType = 'Session' } = cookieConfig ?? {};
  if (lifetimeType !== 'Session' && lifetimeType !== 'Permanent') {
    unknownWord('Lifetime of a cookie', lifetimeType, ['Session', 'Permanent']);
  }
  const permanent = lifetimeType === 'Permanent';
  if (permanent && absoluteTimeout === undefined) {
    badValue('A permanent cookie needs an absoluteTimeout: it must end at some time');
  }
  return {
    type: PERSISTENCE[type] ?? unknownWord('Session persistence', type, Object.keys(PERSISTENCE)),
    name: sessionName(spec.sessionName, source, rule),
    absoluteTimeoutMs: lifetime(absoluteTimeout, 'absoluteTimeout'),
    idleTimeoutMs: lifetime(idleTimeout, 'idleTimeout'),
    permanent,
  };
}

/** Two rules must not share one by chance, and clients need not learn the names of routes. */
function sessionName(name: string | undefined, source: RouteSource, rule: string): string {
  if (name === undefined) {
    const text = `${source.kind}/${source.namespace}/${source.name}/${rule}`;
    return `ambit-session-${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
  }
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) badValue(`"${name}" is no name of a session`);
  return name;
}

/** `0s` is no time for a session: it would end before it began. */
function lifetime(text: string | undefined, field: string): number | undefined {
  const ms = text === undefined ? undefined : durationMs(text, `sessionPersistence.${field}`);
  return ms === 0 ? undefined : ms;
}
