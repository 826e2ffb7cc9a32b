// What a request meets before it goes on: rate limits, faults on purpose, and the limit of what the service bears at once.
// Called by serve.ts, once for each request. Invariants: a request that is refused took nothing, and a limit's count belongs
// to one limit at one service: another policy begins anew.

import { HttpFailure } from '../../mesh/http-failures.ts';
import type { HttpRequest, RequestSource } from '../../mesh/http-request.ts';
import { type Service, serviceKey } from '../../mesh/service.ts';
import type {
  GlobalRateLimit,
  LoadShedding,
  LocalRateLimit,
  TrafficSettings,
} from '../../mesh/traffic-policy.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { WaypointEvents } from '../telemetry/waypoint-events.ts';
import { AdaptiveConcurrency, type EndSample } from './adaptive-concurrency.ts';
import { drawFaults } from './fault.ts';
import { GlobalRateLimiter, type LimitStore } from './global-rate-limit.ts';
import { LocalRateLimiter } from './local-rate-limit.ts';
import { priorityOf } from './priority.ts';

export type GateParts = {
  readonly clock: Clock;
  readonly random: () => number;
  readonly events: Pick<WaypointEvents, 'count'>;
  /** Shared by all limits that name the same Redis. */
  readonly store: (redis: GlobalRateLimit['redis']) => LimitStore;
};

export type GateQuestion = {
  readonly settings: TrafficSettings;
  /** Whose limits these are. */
  readonly service: Service;
  readonly request: HttpRequest;
  readonly source: RequestSource;
  readonly signal: AbortSignal;
};

export type Passed = {
  readonly delayed: boolean;
  /** To be called when the request has ended. */
  readonly done: EndSample;
};

const NOTHING_TO_DO: EndSample = () => {};
const PASSED: Passed = { delayed: false, done: NOTHING_TO_DO };

type ByService<T> = Map<string, T>;

export class Gate {
  readonly #parts: GateParts;
  readonly #local = new WeakMap<LocalRateLimit, ByService<LocalRateLimiter>>();
  readonly #global = new WeakMap<GlobalRateLimit, ByService<GlobalRateLimiter>>();
  readonly #shedding = new WeakMap<LoadShedding, ByService<AdaptiveConcurrency>>();

  constructor(parts: GateParts) {
    this.#parts = parts;
  }

  /** @throws HttpFailure RATE_LIMITED, RATE_LIMIT_SERVICE, FAULT_ABORT, OVERLOADED; `signal.reason` */
  async pass(question: GateQuestion): Promise<Passed> {
    const { rateLimits, faults, loadShedding } = question.settings;
    for (const limit of rateLimits.local) this.#askLocal(limit, question);
    for (const [place, limit] of rateLimits.global.entries()) {
      await this.#askGlobal(limit, place, question);
    }
    const delayed = faults.length > 0 && (await this.#fault(question));
    if (loadShedding === undefined) return delayed ? { ...PASSED, delayed } : PASSED;
    return { delayed, done: this.#shed(loadShedding, question) };
  }

  #askLocal(limit: LocalRateLimit, { service, request, source }: GateQuestion): void {
    const limiter = ofService(
      this.#local,
      limit,
      service,
      () => new LocalRateLimiter(limit, this.#parts.clock),
    );
    const answer = limiter.ask(request, source);
    if (!answer.allowed) this.#refuse(answer.limit, answer.retryAfterMs, service);
  }

  async #askGlobal(limit: GlobalRateLimit, place: number, question: GateQuestion): Promise<void> {
    const { service, request, source } = question;
    const { clock, events, store } = this.#parts;
    const limiter = ofService(this.#global, limit, service, () => {
      const count = (why: string): void => events.count('limit', `global-${why}`, service);
      const scope = `${serviceKey(service)} ${place} ${limit.requests}/${limit.perMs}`;
      return new GlobalRateLimiter(limit, scope, { clock, store: store(limit.redis), count });
    });
    const answer = await limiter.ask(request, source);
    if (answer.allowed) return;
    if (answer.limit === 'global-rate-limit') {
      this.#refuse(answer.limit, answer.retryAfterMs, service);
    }
    events.count('rate_limited', answer.limit, service);
    throw new HttpFailure(
      'RATE_LIMIT_SERVICE',
      `Cannot count a request to ${service.hostname}: its Redis does not answer, and onFailure is deny`,
    );
  }

  #refuse(limit: string, retryAfterMs: number, service: Service): never {
    this.#parts.events.count('rate_limited', limit, service);
    throw new HttpFailure('RATE_LIMITED', `Over a ${limit} of ${service.hostname}`, {
      headers: [['retry-after', String(Math.max(1, Math.ceil(retryAfterMs / 1000)))]],
    });
  }

  /** Returns whether it was delayed. */
  async #fault({ settings, service, request, source, signal }: GateQuestion): Promise<boolean> {
    const { clock, random, events } = this.#parts;
    const { delayMs, abort } = drawFaults(settings.faults, request, source, random);
    if (delayMs > 0) {
      events.count('fault', 'delay', service);
      await clock.sleep(delayMs, signal);
    }
    if (abort === undefined) return delayMs > 0;
    events.count('fault', 'abort', service);
    const options =
      abort.kind === 'http' ? { status: abort.status } : { grpcStatus: abort.grpcStatus };
    throw new HttpFailure('FAULT_ABORT', `A fault of a policy for ${service.hostname}`, options);
  }

  #shed(policy: LoadShedding, { service, request, source }: GateQuestion): EndSample {
    const { clock, random, events } = this.#parts;
    const controller = ofService(
      this.#shedding,
      policy,
      service,
      () => new AdaptiveConcurrency(policy, { clock, random }),
    );
    const priority = priorityOf(policy.priorities, request, source);
    const answer = controller.ask(priority);
    if (answer.admitted) return answer.done;
    events.count('shed', priority, service);
    throw new HttpFailure(
      'OVERLOADED',
      `More requests at once than ${service.hostname} bears now (priority ${priority})`,
    );
  }
}

function ofService<K extends object, T>(
  all: WeakMap<K, ByService<T>>,
  section: K,
  service: Service,
  make: () => T,
): T {
  let byService = all.get(section);
  if (byService === undefined) {
    byService = new Map();
    all.set(section, byService);
  }
  const key = serviceKey(service);
  let known = byService.get(key);
  if (known === undefined) {
    known = make();
    byService.set(key, known);
  }
  return known;
}
