// Policy at this waypoint: which of it holds for a request or a connection, and what comes of it. Built by app.ts; asked by
// serve.ts for each request before it is classified, and by opaque.ts for bytes. Invariants: a request goes on only as the
// gate (request-auth.ts) gives it back; what is open and policy comes to forbid is cut at the next snapshot.

import type { IpPort } from '../../mesh/address.ts';
import { authorizeBytes } from '../../mesh/authorize-bytes.ts';
import { authorizeRequest } from '../../mesh/authorize-request.ts';
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
  /** The policies it was judged by. */
  readonly sources: readonly unknown[];
};

/** Of the exchange only what the gate needs. */
export type Guarded = Pick<
  Exchange,
  'inbound' | 'version' | 'hasBody' | 'body' | 'expectsContinue' | 'signal' | 'continue' | 'reset'
>;

type OpenBytes = { readonly inbound: Inbound; readonly cut: (why: MeshError) => void };
type OpenRequest = {
  readonly admitted: Pick<Admitted, 'request' | 'token' | 'body'>;
  readonly exchange: Guarded;
};
type Judgement = { readonly verdict: 'allow' | 'deny' | 'ask'; readonly reason: string };

export class Guard {
  readonly #parts: GuardParts;
  readonly #settings: GuardSettings;
  readonly #gate: GateParts;
  readonly #keys: IssuerKeys;
  readonly #external: ExternalAuthorization;
  readonly #record: RequestPolicyRecord;
  readonly #openBytes = new Set<OpenBytes>();
  readonly #openRequests = new Set<OpenRequest>();
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
    const sources = snapshot.requestPolicySources();
    const body = new BodyPeek(this.#parts, exchange);
    if (policies.length + authentications.length === 0) {
      return { request, token: undefined, answerChanges: [], body, sources };
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
      sources,
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
   * From now until the request's end it is cut when policy comes to forbid it. `admitted`: as {@link admit} gave it.
   * @throws HttpFailure POLICY_DENIED when policy has changed since, and forbids it now
   */
  hold(admitted: Admitted, exchange: Guarded): Disposable {
    const open: OpenRequest = { admitted, exchange };
    const snapshot = this.#parts.snapshot();
    if (!sameSources(admitted.sources, snapshot.requestPolicySources())) {
      const { verdict, reason } = this.#judgeRequest(open, snapshot);
      if (verdict === 'deny') throw new HttpFailure('POLICY_DENIED', reason);
    }
    this.#openRequests.add(open);
    return { [Symbol.dispose]: () => void this.#openRequests.delete(open) };
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
    this.#openBytes.add(open);
    return () => void this.#openBytes.delete(open);
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
    for (const { inbound, cut } of this.#openBytes) {
      const { verdict, reason } = this.#judgeBytes(inbound, snapshot);
      if (verdict === 'allow') continue;
      const to = nameOf(inbound.asked);
      cut(new MeshError('POLICY_CHANGED', `Cannot go on carrying bytes to ${to}: ${reason}`));
    }
    for (const open of this.#openRequests) {
      const { verdict, reason } = this.#judgeRequest(open, snapshot);
      if (verdict !== 'deny') continue;
      const to = nameOf(open.exchange.inbound.asked);
      this.#parts.log.warn('Cut a request that policy came to forbid', { to, reason });
      open.exchange.reset();
    }
  }

  close(): void {
    this.#keys.close();
    this.#external.close();
  }

  /** Without asking anybody: who was asked has said yes. */
  #judgeRequest({ admitted, exchange }: OpenRequest, snapshot: Snapshot): Judgement {
    const { asked, authority } = exchange.inbound;
    const policies = snapshot.httpPoliciesAt(this.#placeOf(asked));
    if (policies.length === 0) return ALLOWED;
    if (destinationOf(asked, authority) === undefined)
      return { verdict: 'deny', reason: NO_ADDRESS };
    const { request, token, body } = admitted;
    const { facts } = questionOf(request, token, exchange, body);
    const passed = new Set(
      policies.flatMap((one) => (one.action === 'custom' ? one.provider.name : [])),
    );
    return authorizeRequest(policies, facts, { evaluate: this.#gate.evaluate, passed });
  }

  #judgeBytes({ asked, source, authority }: Inbound, snapshot: Snapshot): Judgement {
    const policies = snapshot.httpPoliciesAt(this.#placeOf(asked));
    if (policies.length === 0) return ALLOWED;
    const destination = destinationOf(asked, authority);
    if (destination === undefined) return { verdict: 'deny', reason: NO_ADDRESS };
    return authorizeBytes(policies, { source, destination, sni: serverNameOf(asked) });
  }

  #placeOf(asked: Asked): PolicyPlace {
    return {
      ...this.#settings,
      service: asked.kind === 'service' ? serviceKey(asked.service) : undefined,
    };
  }
}

const ALLOWED: Judgement = { verdict: 'allow', reason: 'no policy holds' };

function sameSources(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.every((one, index) => one === b[index]);
}

/** Of a TLS client's own handshake with us; inside of tunnels nobody looks for one. */
function serverNameOf(asked: Asked): string | undefined {
  const name = asked.kind === 'listener' ? (asked.serverName ?? '') : '';
  return name === '' ? undefined : name;
}
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
      sni: serverNameOf(inbound.asked),
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
