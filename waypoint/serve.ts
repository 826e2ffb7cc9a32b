// A request comes to the waypoint. The whole journey is serve(), in the words of the data path: accept (read the head),
// classify (match a route), authorize, pick endpoint, tunnel, splice (the answer). Called by app.ts for each Exchange.
// Invariant: each request is answered once, and a break on one side is a break on the other, never a clean end.

import { httpFailureOf } from '../mesh/http-failures.ts';
import type { Log } from '../runtime/log.ts';
import { answerWith } from './answer.ts';
import { nameOf } from './asked.ts';
import type { Guard } from './auth/guard.ts';
import { applyChanges } from './auth/header-changes.ts';
import { type CarrySteps, carry } from './carry.ts';
import type { Exchange } from './http/exchange.ts';
import { answerFor } from './http/failure-answer.ts';
import { withRequestId } from './http/headers.ts';
import { type IdleStreams, stillnessOf } from './http/idle-streams.ts';
import { readRequest } from './http/read-request.ts';
import { matchAsked, type PlanSteps, planOf, routeNameOf } from './routing/plan.ts';
import { beginTrail, protocolOf } from './telemetry/exchange-trail.ts';
import type { RequestTrail, RequestTrails } from './telemetry/request-trail.ts';

export type ServeSteps = CarrySteps &
  PlanSteps & {
    readonly log: Log;
    readonly uuid: () => string;
    readonly trails: RequestTrails;
    readonly guard: Pick<Guard, 'admit' | 'ask' | 'hold'>;
    readonly idle: Pick<IdleStreams, 'watch'>;
  };

export async function serve(exchange: Exchange, steps: ServeSteps): Promise<void> {
  const head = withRequestId(exchange.headers, steps.uuid);
  const trail = beginTrail(exchange, head, steps);
  const watch = steps.idle.watch(stillnessOf(exchange, trail));
  exchange.onClosed(() => watch[Symbol.dispose]());
  try {
    exchange.signal.throwIfAborted();
    const { inbound } = exchange;
    const read = readRequest(exchange, head.headers);
    using admitted = await steps.guard.admit(read.request, exchange);
    const passing = { ...read, request: admitted.request };
    const matched = matchAsked(passing, inbound, steps);
    if (matched !== undefined) trail.learn({ route: routeNameOf(matched) });
    const plan = planOf(passing, matched, inbound, steps);
    const planned = plan.kind === 'forward' ? plan.request : admitted.request;
    const asked = await steps.guard.ask(plan.ask, { ...admitted, request: planned }, exchange);
    using _held = steps.guard.hold(admitted, exchange);
    if (plan.kind === 'answer') {
      trail.answered(plan.status);
      answerWith(exchange, plan.status, applyChanges(plan.headers, asked.answerChanges), '');
      trail.end({ by: 'waypoint' });
    } else trail.end(await carry(exchange, plan, asked, trail, steps));
  } catch (error) {
    fail(exchange, error, trail, steps);
  }
}

function fail(exchange: Exchange, error: unknown, trail: RequestTrail, steps: ServeSteps): void {
  const failure = httpFailureOf(exchange.signal.aborted ? exchange.signal.reason : error);
  if (failure.status === undefined) {
    trail.end({ by: 'client', failure });
    return;
  }
  if (failure.code === 'INTERNAL') {
    steps.log.error('Cannot serve a request: a fault of the waypoint', {
      to: nameOf(exchange.inbound.asked),
      error,
    });
  }
  exchange.body.resume();
  const answer = answerFor(failure, protocolOf(exchange));
  if (answer === undefined || trail.isAnswered) exchange.reset();
  else {
    trail.answered(answer.status);
    try {
      answerWith(exchange, answer.status, answer.headers, answer.body);
    } catch (cause) {
      // headers of somebody else's that this version of HTTP has no words for
      steps.log.warn('Cannot answer a request', {
        to: nameOf(exchange.inbound.asked),
        error: cause,
      });
      exchange.reset();
    }
  }
  trail.end({ by: 'waypoint', failure, grpcStatus: answer?.grpcStatus });
}
