// A request comes to the waypoint. The whole journey is serve(), in the words of the data path: accept (read the head),
// classify (match a route), authorize, pick endpoint, tunnel, splice (the answer). Called by app.ts for each Exchange.
// Invariant: each request is answered once, and a break on one side is a break on the other, never a clean end.

import { editHeaders } from '../mesh/edit-request.ts';
import { HttpFailure, httpFailureOf } from '../mesh/http-failures.ts';
import type { HttpRequest } from '../mesh/http-request.ts';
import { type Matched, matchRoute } from '../mesh/match-route.ts';
import type { ExternalAuth, HeaderEdit } from '../mesh/route.ts';
import { pickBackend } from '../mesh/split.ts';
import type { Log } from '../runtime/log.ts';
import { answerWith, passOn } from './answer.ts';
import { applyFilters } from './apply-filters.ts';
import { nameOf } from './asked.ts';
import type { Guard } from './auth/guard.ts';
import { applyChanges } from './auth/header-changes.ts';
import type { Exchange } from './exchange.ts';
import { answerFor } from './failure-answer.ts';
import { type ForwardSteps, forward } from './forward.ts';
import { forwardedInside } from './headers.ts';
import type { Asked, Inbound } from './inbound.ts';
import { backendOf } from './pick.ts';
import { type ReadRequest, readRequest } from './read-request.ts';
import type { RouteTables } from './tables.ts';
import type { RequestProtocol } from './telemetry/request-facts.ts';
import { requestLimits } from './time-limits.ts';
import { ReplayBody } from './upstream/replay-body.ts';
import { endToEnd } from './upstream/upstream.ts';

export type ServeSteps = Omit<ForwardSteps, 'onTry'> & {
  readonly log: Log;
  readonly tables: RouteTables;
  readonly random: () => number;
  readonly guard: Pick<Guard, 'admit' | 'ask'>;
};

/** What is to become of a request, once those were asked whom filters name. */
type Plan = { readonly ask: readonly ExternalAuth[] } & (
  | { readonly kind: 'answer'; readonly status: number; readonly headers: HttpRequest['headers'] }
  | {
      readonly kind: 'forward';
      readonly request: HttpRequest;
      /** What stands in the request line, before its query. */
      readonly path: string;
      readonly backend: Asked;
      readonly matched: Matched | undefined;
      readonly answerEdits: readonly HeaderEdit[];
    }
);

export async function serve(exchange: Exchange, steps: ServeSteps): Promise<void> {
  try {
    const read = readRequest(exchange);
    const admitted = await steps.guard.admit(read.request, exchange);
    const plan = classify({ ...read, request: admitted.request }, exchange.inbound, steps);
    const before = plan.kind === 'forward' ? plan.request : admitted.request;
    const {
      request,
      answerChanges,
      body: begun,
    } = await steps.guard.ask(plan.ask, { ...admitted, request: before }, exchange);
    if (plan.kind === 'answer') {
      answerWith(exchange, plan.status, applyChanges(plan.headers, answerChanges), '');
      return;
    }
    const body = exchange.hasBody
      ? new ReplayBody(
          exchange.body,
          () => exchange.trailers(),
          () => {},
          begun.read,
        )
      : undefined;
    if (body === undefined) exchange.body.resume();
    using limits = requestLimits(plan.matched?.rule, exchange.signal);
    const response = await forward(
      {
        inbound: exchange.inbound,
        backend: plan.backend,
        matched: plan.matched,
        version: exchange.version === '2' ? 'http2' : 'http1',
        grpc: protocolOf(exchange) === 'grpc' || plan.matched?.route.kind === 'grpc',
        body,
        request: {
          method: request.method,
          scheme: request.scheme,
          authority: request.authority,
          target: targetOf(request, plan.path),
          headers: forwardedInside(request.headers, 'http'),
          body,
          onContinue: exchange.expectsContinue ? () => exchange.continue() : undefined,
          onHints: (hints) => exchange.hint(endToEnd(hints)),
          upgrade: exchange.upgrade,
        },
      },
      { ...steps, onTry: () => {} },
      limits.signal,
    );
    let headers = response.upgraded === undefined ? endToEnd(response.headers) : response.headers;
    for (const edit of plan.answerEdits)
      headers = [...editHeaders(headers, edit)] as typeof headers;
    passOn(exchange, { ...response, headers: applyChanges(headers, answerChanges) });
  } catch (error) {
    if (exchange.signal.aborted) return;
    const failure = httpFailureOf(error);
    steps.log.warn('Request failed', {
      to: nameOf(exchange.inbound.asked),
      code: failure.code,
      error,
    });
    exchange.body.resume();
    const answer = answerFor(failure, protocolOf(exchange));
    if (answer === undefined) exchange.reset();
    else answerWith(exchange, answer.status, answer.headers, answer.body);
  }
}

/** @throws HttpFailure NO_ROUTE, NO_BACKEND, BACKEND_INVALID, FILTER_BROKEN */
function classify(
  { request, forwardedPath }: ReadRequest,
  inbound: Inbound,
  steps: ServeSteps,
): Plan {
  const { asked, source } = inbound;
  const table = steps.tables.tableFor(asked, source.identity?.namespace);
  if (table === undefined) {
    return {
      kind: 'forward',
      ask: [],
      request,
      path: forwardedPath,
      backend: asked,
      matched: undefined,
      answerEdits: [],
    };
  }
  const matched = matchRoute(table, request, source);
  if (matched === undefined) {
    throw new HttpFailure(
      'NO_ROUTE',
      `No route of ${nameOf(asked)} matches ${request.method} ${request.path}`,
    );
  }
  const port = asked.kind === 'service' ? asked.port.servicePort : asked.port;
  const how = { matched, port };
  if (matched.rule.sessionPersistence !== undefined) {
    throw new HttpFailure('FILTER_BROKEN', 'This version has no session persistence');
  }
  const ruled = applyFilters(request, matched.rule.filters, how);
  if (ruled.kind === 'answer') return ruled;
  const backend = pickBackend(matched.rule.backends, steps.random);
  if (backend === undefined) {
    throw new HttpFailure(
      'NO_BACKEND',
      `The rule of ${matched.route.namespace}/${matched.route.name} has no backend with a weight`,
    );
  }
  const final = applyFilters(ruled.request, backend.filters, how);
  const ask = [...ruled.ask, ...final.ask];
  if (final.kind === 'answer') return { ...final, ask };
  const edited = ruled.pathEdited || final.pathEdited;
  return {
    kind: 'forward',
    ask,
    request: final.request,
    path: edited ? final.request.path : forwardedPath,
    backend: backendOf(backend.target, steps.pick),
    matched,
    answerEdits: [...final.answerEdits, ...ruled.answerEdits],
  };
}

function targetOf({ query }: HttpRequest, path: string): string {
  return query === undefined ? path : `${path}?${query}`;
}

function protocolOf({ version, headers }: Exchange): RequestProtocol {
  if (version !== '2') return 'http/1.1';
  const type = headers.find(([name]) => name === 'content-type')?.[1] ?? '';
  return type.startsWith('application/grpc') ? 'grpc' : 'h2';
}
