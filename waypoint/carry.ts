// A request that may go on: through the limits of its service to an endpoint, and its answer back to the client. Called by
// serve.ts. Invariant: whatever becomes of it, what it took of limits and budgets is given back when it has ended.

import { editHeaders } from '../mesh/edit-request.ts';
import { HttpFailure } from '../mesh/http-failures.ts';
import { type HeaderList, headerOf } from '../mesh/http-request.ts';
import type { Identity } from '../mesh/identity.ts';
import { routeKey } from '../mesh/route.ts';
import { type Service, serviceKey } from '../mesh/service.ts';
import type { TrafficSettings } from '../mesh/traffic-policy.ts';
import { GrpcMessageCounter } from '../wire/grpc-messages.ts';
import { type AnswerEnd, passOn } from './answer.ts';
import type { Admitted } from './auth/guard.ts';
import { applyChanges } from './auth/header-changes.ts';
import { type Forwarded, type ForwardSteps, forward } from './forward.ts';
import type { Exchange } from './http/exchange.ts';
import { forwardedInside, withoutHopByHop, withUpstreamTime } from './http/headers.ts';
import type { Asked, Destination } from './inbound.ts';
import { MirroredBody, type SendMirror } from './mirror.ts';
import type { Gate, Passed } from './resilience/gate.ts';
import { type Forwarding, targetOf } from './routing/plan.ts';
import { protocolOf } from './telemetry/exchange-trail.ts';
import type { RequestTrail } from './telemetry/request-trail.ts';
import { type RequestLimits, requestLimits } from './time-limits.ts';
import { ReplayBody } from './upstream/replay-body.ts';
import type { UpstreamResponse } from './upstream/upstream.ts';

export type CarrySteps = ForwardSteps & {
  /** The waypoint's own. */
  readonly identity: Identity;
  readonly gate: Gate;
  readonly mirror: SendMirror;
};

/** To an endpoint and back. Resolves at the very end of the answer. */
export async function carry(
  exchange: Exchange,
  plan: Forwarding,
  admitted: Admitted,
  trail: RequestTrail,
  steps: CarrySteps,
): Promise<AnswerEnd> {
  const { inbound, signal: client } = exchange;
  const { matched, backend } = plan;
  const { request } = admitted;
  const settings = settingsFor(inbound.asked, plan, steps);
  const isGrpc = protocolOf(exchange) === 'grpc';
  using limits = requestLimits(
    {
      rule: matched?.rule,
      timeouts: settings.timeouts,
      grpcTimeout: isGrpc ? headerOf(request, 'grpc-timeout') : undefined,
      client,
    },
    steps.clock,
  );
  const service = limitedService(inbound.asked, backend);
  const { signal } = limits;
  const passed =
    service &&
    (await steps.gate.pass({ settings, service, request, source: inbound.source, signal }));
  if (passed?.delayed === true) trail.note('DI');
  let forwarded: Forwarded | undefined;
  let end: AnswerEnd | undefined;
  try {
    forwarded = await send(exchange, { plan, admitted, settings, limits, trail }, steps);
    end = await passOn(exchange, answerOf(forwarded, plan, admitted), trail);
    const late: unknown = signal.reason;
    // broken off by ourselves: the limit is the reason, not the upstream
    return end.failure !== undefined && late instanceof HttpFailure
      ? { ...end, failure: late }
      : end;
  } finally {
    release(forwarded, passed, end);
  }
}

function release(
  forwarded: Forwarded | undefined,
  passed: Passed | undefined,
  end: AnswerEnd | undefined,
): void {
  passed?.done(forwarded?.latencyMs);
  forwarded?.attempt.close(end?.grpcStatus, end?.failure);
  forwarded?.release();
}

function send(
  exchange: Exchange,
  how: {
    readonly plan: Forwarding;
    readonly admitted: Admitted;
    readonly settings: TrafficSettings;
    readonly limits: RequestLimits;
    readonly trail: RequestTrail;
  },
  steps: CarrySteps,
): Promise<Forwarded> {
  const { plan, admitted, settings, limits, trail } = how;
  const { matched, backend } = plan;
  const { request } = admitted;
  const { identity: client } = exchange.inbound.source;
  const certificate = client && { by: steps.identity, client };
  const headers = forwardedInside(request.headers, request.scheme, certificate);
  const copies = plan.mirrors.map((mirror) => ({
    mirror,
    body: exchange.hasBody ? new MirroredBody() : undefined,
  }));
  const body = exchange.hasBody
    ? bodyOf(
        exchange,
        copies.flatMap((one) => one.body ?? []),
        admitted.body.read,
        trail,
      )
    : undefined;
  if (body === undefined) exchange.body.resume();
  for (const copy of copies) steps.mirror(copy.mirror, copy.body, exchange.inbound, trail);
  const grpc = protocolOf(exchange) === 'grpc' || matched?.route.kind === 'grpc';
  return forward(
    {
      inbound: exchange.inbound,
      backend,
      http: request,
      matched,
      version: exchange.version === '2' ? 'http2' : 'http1',
      grpc,
      body,
      settings,
      deadline: limits.deadline,
      trail,
      request: {
        method: request.method,
        scheme: request.scheme,
        authority: request.authority,
        target: targetOf(request, plan.path),
        headers,
        body,
        onContinue: exchange.expectsContinue ? () => exchange.continue() : undefined,
        onHints: (hints) => exchange.hint(withoutHopByHop(hints)),
        upgrade: exchange.upgrade,
      },
    },
    steps,
    limits.signal,
  );
}

function bodyOf(
  exchange: Exchange,
  copies: readonly MirroredBody[],
  begun: readonly Buffer[],
  { counts, facts }: RequestTrail,
): ReplayBody {
  const messages = facts.protocol === 'grpc' ? new GrpcMessageCounter() : undefined;
  const watch = (chunk: Buffer): void => {
    counts.bytesReceived += chunk.length;
    for (const copy of copies) copy.take(chunk);
    if (messages === undefined) return;
    messages.add(chunk);
    counts.requestMessages = messages.count;
  };
  const trailers = (): HeaderList => exchange.trailers();
  for (const copy of copies) copy.follow(exchange.body, trailers);
  return new ReplayBody(exchange.body, trailers, watch, begun);
}

/** The answer as the client shall see it. */
function answerOf(
  { response, lines, latencyMs }: Forwarded,
  { answerEdits }: Forwarding,
  { answerChanges }: Admitted,
): UpstreamResponse {
  if (response.upgraded !== undefined) return response;
  let headers: HeaderList = withUpstreamTime(withoutHopByHop(response.headers), latencyMs);
  for (const edit of answerEdits) headers = editHeaders(headers, edit);
  return { ...response, headers: applyChanges([...headers, ...lines], answerChanges) };
}

/** What the policies of the service that was asked, and of the rule, say of the request as a whole. */
function settingsFor(
  asked: Asked,
  { backend, matched }: Forwarding,
  { pick }: CarrySteps,
): TrafficSettings {
  const front = asked.kind === 'service' ? asked : backend;
  const place =
    front.kind === 'service'
      ? { service: serviceKey(front.service), port: front.port.servicePort }
      : { service: '', port: front.port };
  const route = matched && { key: routeKey(matched.route), rule: matched.rule.name };
  const whole = pick.settings.of({ ...place, route });
  if (backend.kind !== 'service' || backend === front) return whole;
  // how its endpoints are balanced is the backend's own matter, unless the route says it
  const there = { service: serviceKey(backend.service), port: backend.port.servicePort, route };
  return { ...whole, loadBalancing: pick.settings.of(there).loadBalancing };
}

function limitedService(asked: Asked, backend: Destination): Service | undefined {
  if (asked.kind === 'service') return asked.service;
  return backend.kind === 'service' ? backend.service : undefined;
}
