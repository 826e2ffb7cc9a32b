// Policy at this waypoint: which of it holds for a request or a connection, and what comes of it. Built by app.ts; asked by
// serve.ts for each request before it is classified, and by opaque.ts for bytes. Invariants: a request goes on only as the
// gate (request-auth.ts) gives it back; bytes that policy comes to forbid are cut at the next snapshot.

import type { IpPort } from '../../mesh/address.ts';
import { authorizeBytes } from '../../mesh/authorize-bytes.ts';
import { MeshError } from '../../mesh/failures.ts';
import { HttpFailure } from '../../mesh/http-failures.ts';
import type { HttpRequest } from '../../mesh/http-request.ts';
import { headerOf } from '../../mesh/http-request.ts';
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
import { nameOf } from '../asked.ts';
import type { Exchange } from '../exchange.ts';
import type { Asked, Inbound } from '../inbound.ts';
import { BodyPeek } from './body-peek.ts';
import {
  type ConnectToService,
  ExternalAuthorization,
  type Question,
} from './external-authorization.ts';
import { createFetchBody } from './fetch-body.ts';
import { IssuerKeys } from './issuer-keys.ts';
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

/** A request as it may go on. */
export type Admitted = {
  readonly request: HttpRequest;
  readonly token: VerifiedToken | undefined;
  /** To be made in whatever is answered: applyChanges. */
  readonly answerChanges: readonly HeaderChange[];
  /** What was read of its body already: goes first to the upstream. */
  readonly body: BodyPeek;
};

/** Of the exchange only what the gate needs. */
export type Guarded = Pick<
  Exchange,
  'inbound' | 'version' | 'hasBody' | 'body' | 'expectsContinue' | 'signal' | 'continue'
>;

type OpenBytes = { readonly inbound: Inbound; readonly cut: (why: MeshError) => void };

export class Guard {
  readonly #parts: GuardParts;
  readonly #settings: GuardSettings;
  readonly #gate: GateParts;
  readonly #keys: IssuerKeys;
  readonly #external: ExternalAuthorization;
  readonly #record: RequestPolicyRecord;
  readonly #open = new Set<OpenBytes>();
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
  }

  /** @throws HttpFailure POLICY_DENIED, UNAUTHENTICATED, EXTERNAL_AUTH_*, REQUEST_INCOMPLETE; the signal's reason */
  async admit(request: HttpRequest, exchange: Guarded): Promise<Admitted> {
    const snapshot = this.#parts.snapshot();
    const place = this.#placeOf(exchange.inbound.asked);
    const policies = snapshot.httpPoliciesAt(place);
    const authentications = snapshot.requestAuthenticationsAt(place);
    const body = new BodyPeek(this.#parts, exchange);
    if (policies.length + authentications.length === 0) {
      return { request, token: undefined, answerChanges: [], body };
    }
    const question = questionOf(request, undefined, exchange, body);
    const verdict = await checkRequest(
      { policies, authentications },
      question,
      this.#gate,
      exchange.signal,
    );
    if (verdict.decision !== undefined) this.#record.decided(verdict.decision, question.facts);
    if (verdict.kind === 'refused') throw failureOf(verdict.refusal);
    return {
      request: verdict.request,
      token: verdict.token,
      answerChanges: verdict.answerChanges,
      body,
    };
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
      const { request, token, body } = present;
      const verdict = await this.#external.ask(
        authorizerOf(filter),
        questionOf(request, token, exchange, body),
        exchange.signal,
      );
      if (verdict.kind === 'refused') throw failureOf(verdict.refusal);
      const answerChanges = [...present.answerChanges, ...verdict.answerChanges];
      present = { ...present, request: verdict.request, answerChanges };
    }
    return present;
  }

  /**
   * For a connection that is no HTTP; `cut` is called when policy comes to forbid it. Returns what ends the watch.
   * @throws MeshError POLICY_DENIED
   */
  admitBytes(inbound: Inbound, cut: (why: MeshError) => void): () => void {
    const decision = this.#judgeBytes(inbound, this.#parts.snapshot());
    if (decision.verdict !== 'allow') {
      throw new MeshError(
        'POLICY_DENIED',
        `Cannot carry bytes to ${nameOf(inbound.asked)}: ${decision.reason}`,
      );
    }
    const open = { inbound, cut };
    this.#open.add(open);
    return () => void this.#open.delete(open);
  }

  /** After each change of what is known. */
  update(snapshot: Snapshot): void {
    const sources = snapshot.requestPolicySources();
    if (sources.every((one, index) => one === this.#seen[index])) return;
    this.#seen = sources;
    this.#keys.retain(
      [...snapshot.requestAuthentications()].flatMap(({ rules }) => rules.map(({ keys }) => keys)),
    );
    this.#external.retain(
      [...snapshot.httpPolicies()].flatMap((policy) =>
        policy.action === 'custom' && !('why' in policy.provider) ? policy.provider : [],
      ),
    );
    for (const { inbound, cut } of this.#open) {
      const { verdict, reason } = this.#judgeBytes(inbound, snapshot);
      if (verdict === 'allow') continue;
      const to = nameOf(inbound.asked);
      cut(new MeshError('POLICY_CHANGED', `Cannot go on carrying bytes to ${to}: ${reason}`));
    }
  }

  close(): void {
    this.#keys.close();
    this.#external.close();
  }

  #judgeBytes({ asked, source, authority }: Inbound, snapshot: Snapshot) {
    const policies = snapshot.httpPoliciesAt(this.#placeOf(asked));
    if (policies.length === 0) return ALLOWED;
    const destination = destinationOf(asked, authority);
    if (destination === undefined) return { verdict: 'deny', reason: NO_ADDRESS } as const;
    return authorizeBytes(policies, { source, destination, sni: undefined });
  }

  #placeOf(asked: Asked): PolicyPlace {
    return {
      ...this.#settings,
      service: asked.kind === 'service' ? serviceKey(asked.service) : undefined,
    };
  }
}

const ALLOWED = { verdict: 'allow', reason: 'no policy holds' } as const;
/** A range of addresses in a policy could be meant either way, so nothing goes on. */
const NO_ADDRESS = 'it has no address to judge policy by';

function questionOf(
  request: HttpRequest,
  token: VerifiedToken | undefined,
  { inbound, version, hasBody }: Guarded,
  body: BodyPeek,
): Question {
  const destination = destinationOf(inbound.asked, inbound.authority);
  if (destination === undefined) {
    throw new HttpFailure('POLICY_DENIED', `${nameOf(inbound.asked)}: ${NO_ADDRESS}`);
  }
  return {
    facts: {
      request,
      source: inbound.source,
      destination,
      sni: undefined,
      token,
      // nobody before a waypoint is believed in what it says of others: the tunnel's peer is the client
      trustedHops: inbound.asked.kind === 'listener' ? inbound.asked.trustedHops : 0,
    },
    id: headerOf(request, 'x-request-id') ?? '',
    protocol: version === '2' ? 'HTTP/2' : `HTTP/${version}`,
    body: hasBody ? body.peek : undefined,
  };
}

/** What the client connected to; by name: the address that stands for it. */
function destinationOf(asked: Asked, authority: Inbound['authority']): IpPort | undefined {
  if (authority.kind === 'address') return { ip: authority.ip, port: authority.port };
  if (asked.kind === 'listener') return undefined;
  const ip = asked.kind === 'service' ? asked.service.vips[0]?.ip : asked.workload.addresses[0];
  return ip && { ip, port: authority.port };
}

function failureOf({ code, status, grpcStatus, headers, body, detail }: Refusal): HttpFailure {
  return new HttpFailure(code, detail, { status, grpcStatus, headers, body });
}
