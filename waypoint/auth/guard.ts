// Policy at this waypoint: which of it holds for a request or a connection, and what comes of it. Built by app.ts; asked by
// serve.ts for each request before it is classified, and by opaque.ts for bytes. Invariants: a request goes on only as the
// gate (request-auth.ts) gives it back; what is open and policy comes to forbid is cut at the next snapshot.

import type { MeshError } from '../../mesh/failures.ts';
import { HttpFailure } from '../../mesh/http-failures.ts';
import type { HttpRequest } from '../../mesh/http-request.ts';
import type { PolicyPlace } from '../../mesh/policy-target.ts';
import type { VerifiedToken } from '../../mesh/request-authentication.ts';
import type { ExternalAuth } from '../../mesh/route.ts';
import { serviceKey } from '../../mesh/service.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import type { Clock } from '../../runtime/clock.ts';
import { createConditions } from '../../runtime/conditions.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import type { HeaderChange } from '../../wire/external-authorization.ts';
import type { Asked, Inbound } from '../inbound.ts';
import type { ConnectToService } from '../upstream/connect-service.ts';
import { BodyPeek, PeekBudget } from './body-peek.ts';
import { ExternalAuthorization } from './external-authorization.ts';
import { createFetchBody } from './fetch-body.ts';
import { IssuerKeys } from './issuer-keys.ts';
import { OpenStreams } from './open-streams.ts';
import { type Guarded, questionOf } from './question.ts';
import type { Refusal } from './refusal.ts';
import { checkRequest, type GateParts } from './request-auth.ts';
import { RequestPolicyRecord } from './request-policy-record.ts';
import { authorizerOf } from './route-authorizer.ts';
import { TokenVerifier } from './verify-token.ts';

export type GuardParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly snapshot: () => Snapshot;
  /** A byte stream to one of a service's endpoints. */
  readonly connect: ConnectToService;
};

export type GuardSettings = {
  /** `namespace/name` of the Gateway this waypoint runs for. */
  readonly gateway: string;
  readonly gatewayClass: string;
};

/** A request as it may go on. To be disposed of at its end. */
export type Admitted = Disposable & {
  readonly request: HttpRequest;
  readonly token: VerifiedToken | undefined;
  /** To be made in whatever is answered: applyChanges. */
  readonly answerChanges: readonly HeaderChange[];
  /** What was read of its body already: goes first to the upstream. */
  readonly body: BodyPeek;
  /** The policies it was judged by. */
  readonly sources: readonly unknown[];
};

export class Guard {
  readonly #parts: GuardParts;
  readonly #settings: GuardSettings;
  readonly #gate: GateParts;
  readonly #keys: IssuerKeys;
  readonly #external: ExternalAuthorization;
  readonly #record: RequestPolicyRecord;
  readonly #open: OpenStreams;
  readonly #budget = new PeekBudget();
  /** Policies as they were looked at last. */
  #seen: readonly unknown[] = [];

  constructor(parts: GuardParts, settings: GuardSettings) {
    this.#parts = parts;
    this.#settings = settings;
    const fetch = createFetchBody({
      connect: (host, port, signal) => {
        const namespace = settings.gateway.slice(0, settings.gateway.indexOf('/'));
        const service = parts.snapshot().serviceByHostname(host, namespace);
        return service && parts.connect({ service: serviceKey(service), port }, signal);
      },
    });
    this.#keys = new IssuerKeys({ ...parts, fetch });
    this.#external = new ExternalAuthorization(parts);
    this.#record = new RequestPolicyRecord(parts);
    this.#gate = {
      verifier: new TokenVerifier({ clock: parts.clock, keys: this.#keys }),
      external: this.#external,
      evaluate: createConditions(),
    };
    const placeOf = this.#placeOf.bind(this);
    this.#open = new OpenStreams({ ...parts, placeOf, evaluate: this.#gate.evaluate });
  }

  /** @throws HttpFailure POLICY_DENIED, UNAUTHENTICATED, EXTERNAL_AUTH_*, REQUEST_INCOMPLETE; the signal's reason */
  async admit(request: HttpRequest, exchange: Guarded): Promise<Admitted> {
    const snapshot = this.#parts.snapshot();
    const place = this.#placeOf(exchange.inbound.asked);
    const policies = snapshot.httpPoliciesAt(place);
    const authentications = snapshot.requestAuthenticationsAt(place);
    const sources = snapshot.requestPolicySources();
    const body = new BodyPeek({ clock: this.#parts.clock, budget: this.#budget }, exchange);
    const base = { body, sources, [Symbol.dispose]: () => body.release() };
    if (policies.length + authentications.length === 0) {
      return { ...base, request, token: undefined, answerChanges: [] };
    }
    try {
      const question = questionOf({ request, token: undefined }, exchange, body);
      const what = { policies, authentications };
      const verdict = await checkRequest(what, question, this.#gate, exchange.signal);
      if (verdict.decision !== undefined) this.#record.decided(verdict.decision, question.facts);
      if (verdict.kind === 'refused') throw failureOf(verdict.refusal);
      const { token, answerChanges } = verdict;
      return { ...base, request: verdict.request, token, answerChanges };
    } catch (error) {
      body.release();
      throw error;
    }
  }

  /**
   * Asks those whom filters of a route leave the decision to, one after the other.
   * @throws HttpFailure EXTERNAL_AUTH_*, BACKEND_INVALID, REQUEST_INCOMPLETE; the signal's reason
   */
  async ask(
    filters: readonly ExternalAuth[],
    admitted: Admitted,
    exchange: Guarded,
  ): Promise<Admitted> {
    let present = admitted;
    for (const filter of filters) {
      const verdict = await this.#external.ask(
        authorizerOf(filter),
        questionOf(present, exchange, present.body),
        exchange.signal,
      );
      if (verdict.kind === 'refused') throw failureOf(verdict.refusal);
      const answerChanges = [...present.answerChanges, ...verdict.answerChanges];
      present = { ...present, request: verdict.request, answerChanges };
    }
    return present;
  }

  /**
   * From now until the request's end it is cut when policy comes to forbid it. `admitted`: as {@link admit} gave it.
   * @throws HttpFailure POLICY_DENIED when policy has changed since, and forbids it now
   */
  hold(admitted: Admitted, exchange: Guarded): Disposable {
    const snapshot = this.#parts.snapshot();
    const changed = !sameSources(admitted.sources, snapshot.requestPolicySources());
    return this.#open.holdRequest({ admitted, exchange }, snapshot, changed);
  }

  /**
   * For a connection that is no HTTP; `cut` is called when policy comes to forbid it. Returns what ends the watch.
   * @throws MeshError POLICY_DENIED
   */
  admitBytes(inbound: Inbound, cut: (why: MeshError) => void): () => void {
    return this.#open.holdBytes({ inbound, cut }, this.#parts.snapshot());
  }

  /** After each change of what is known. */
  update(snapshot: Snapshot): void {
    const sources = snapshot.requestPolicySources();
    if (sameSources(sources, this.#seen)) return;
    this.#seen = sources;
    this.#keys.retain(
      [...snapshot.requestAuthentications()].flatMap(({ rules }) => rules.map(({ keys }) => keys)),
    );
    this.#external.retain(
      [...snapshot.httpPolicies()].flatMap((policy) =>
        policy.action === 'custom' && !('why' in policy.provider) ? policy.provider : [],
      ),
    );
    this.#open.judgeAgain(snapshot);
  }

  close(): void {
    this.#keys.close();
    this.#external.close();
  }

  #placeOf(asked: Asked): PolicyPlace {
    return {
      ...this.#settings,
      service: asked.kind === 'service' ? serviceKey(asked.service) : undefined,
    };
  }
}

function sameSources(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.every((one, index) => one === b[index]);
}

function failureOf({ code, status, grpcStatus, headers, body, detail }: Refusal): HttpFailure {
  return new HttpFailure(code, detail, { status, grpcStatus, headers, body });
}
