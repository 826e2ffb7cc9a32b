// The journey of one request, top to bottom: authenticate, authorize, issue. Called by serve.ts for each call; every
// refusal says why, is logged and counted here.

import { formatIdentity, type Identity, readIdentity } from '../mesh/identity.ts';
import type { Clock } from '../runtime/clock.ts';
import { type Caller, type TokenAnswer } from '../runtime/kubernetes/token-review.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import { type AuthorizeSettings, type ClusterView, decideIssue } from './authorize.ts';
import { type Gate, GateFullError } from './gate.ts';
import { type Issued, IssueError, type IssueRequest } from './issue.ts';
import type { Limits } from './limits.ts';

export type CertificateCall = {
  readonly token: string;
  readonly csrPem: string;
  readonly ttlSeconds: number;
  /** The `ImpersonatedIdentity` of the request, as text. */
  readonly impersonated: string | undefined;
  /** Where it comes from: an IP address. */
  readonly address: string;
  /** Aborts once nobody waits for the answer any more. */
  readonly signal: AbortSignal;
};

export type RefusalCode =
  | 'UNAUTHENTICATED'
  | 'INVALID_ARGUMENT'
  | 'RESOURCE_EXHAUSTED'
  | 'UNAVAILABLE'
  | 'CANCELLED';

export type CertificateAnswer =
  | { readonly kind: 'issued'; readonly chain: readonly string[] }
  | { readonly kind: 'refused'; readonly code: RefusalCode; readonly message: string };

export type AnswerParts = {
  readonly log: Log;
  readonly clock: Clock;
  readonly gate: Gate;
  readonly limits: Limits;
  readonly cluster: ClusterView;
  readonly counters: IssuanceCounters;
  readonly review: (token: string) => Promise<TokenAnswer>;
  readonly issue: (request: IssueRequest) => Promise<Issued>;
};

export type IssuanceCounters = {
  issued(seconds: number): void;
  refused(reason: string): void;
};

export function countIssuance(metrics: Metrics): IssuanceCounters {
  const issued = metrics.counter({
    name: 'ambit_ca_certificates_issued_total',
    help: 'Certificates issued',
  });
  const refused = metrics.counter({
    name: 'ambit_ca_requests_refused_total',
    help: 'Certificate requests refused, by reason',
    labels: ['reason'],
  });
  const seconds = metrics.histogram({
    name: 'ambit_ca_issue_duration_seconds',
    help: 'Time from a request to its certificate, waiting included',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  });
  return {
    issued(duration) {
      issued.inc();
      seconds.observe(duration);
    },
    refused: (reason) => refused.inc({ reason }),
  };
}

/** The clients' own patience is 10 s: an API server that hangs must not keep our places for longer. */
const REVIEW_MS = 8000;

export async function answerCall(
  call: CertificateCall,
  parts: AnswerParts,
  settings: AuthorizeSettings,
): Promise<CertificateAnswer> {
  const started = parts.clock.monotonic();
  const leave = parts.limits.enter(call.address);
  if (leave === undefined) {
    const message =
      'Cannot take another request of this address: too many are under way. Try again';
    return refuse(parts, 'RESOURCE_EXHAUSTED', 'AddressQueueFull', message);
  }
  try {
    const answer = (): Promise<CertificateAnswer> => answerAdmitted(call, parts, settings, started);
    return await parts.gate.pass(answer, call.signal);
  } catch (error) {
    if (call.signal.aborted) {
      return refuse(parts, 'CANCELLED', 'Cancelled', 'The caller has gone');
    }
    if (error instanceof GateFullError) {
      return refuse(parts, 'RESOURCE_EXHAUSTED', 'TooManyRequests', error.message);
    }
    if (error instanceof IssueError) {
      return error.fault === 'request'
        ? refuse(parts, 'INVALID_ARGUMENT', 'BadRequest', error.message)
        : refuse(parts, 'UNAVAILABLE', 'CannotSign', error.message);
    }
    parts.log.error('Cannot answer a certificate request', { error });
    const message =
      'Cannot answer the certificate request now: the CA cannot ask Kubernetes. Try again';
    return refuse(parts, 'UNAVAILABLE', 'Fault', message);
  } finally {
    leave();
  }
}

/** @throws Error when the API server does not answer in time */
async function reviewInTime(
  { clock, review }: AnswerParts,
  token: string,
  signal: AbortSignal,
): Promise<TokenAnswer> {
  const patience = new AbortController();
  const late = clock
    .sleep(REVIEW_MS, AbortSignal.any([signal, patience.signal]))
    .then((): never => {
      throw new Error(`Kubernetes has not told within ${REVIEW_MS / 1000} s whose token it is`);
    });
  late.catch(() => {});
  try {
    return await Promise.race([review(token), late]);
  } finally {
    patience.abort(new Error('The token is reviewed'));
  }
}

async function answerAdmitted(
  call: CertificateCall,
  parts: AnswerParts,
  settings: AuthorizeSettings,
  started: number,
): Promise<CertificateAnswer> {
  const review = await reviewInTime(parts, call.token, call.signal);
  if (review.kind === 'refused') {
    const message = `Cannot tell who asks for a certificate: ${review.reason}`;
    return refuse(parts, 'UNAUTHENTICATED', 'TokenRefused', message);
  }
  const { caller } = review;
  if (!parts.limits.take(keyOf(caller))) {
    const message =
      'Cannot issue another certificate to this caller: it asks for too many. Try again later';
    return refuse(parts, 'RESOURCE_EXHAUSTED', 'CallerRateLimited', message, caller);
  }

  const requested = readRequested(call.impersonated);
  if (requested === 'malformed') {
    const message = `Cannot issue a certificate: ImpersonatedIdentity "${call.impersonated?.slice(0, 300)}" is not an identity`;
    return refuse(parts, 'INVALID_ARGUMENT', 'MalformedIdentity', message, caller);
  }
  const decision = decideIssue(caller, requested, parts.cluster, settings);
  if (decision.kind === 'refused') {
    return refuse(parts, 'UNAUTHENTICATED', decision.reason, decision.message, caller);
  }

  const { csrPem, ttlSeconds } = call;
  const issued = await parts.issue({ identity: decision.identity, csrPem, ttlSeconds });
  parts.counters.issued((parts.clock.monotonic() - started) / 1000);
  parts.log.info('Issued a certificate', {
    identity: formatIdentity(decision.identity),
    serial: issued.serial,
    notAfter: new Date(issued.notAfter).toISOString(),
    ...whoIs(caller),
  });
  return { kind: 'issued', chain: issued.chain };
}

function readRequested(text: string | undefined): Identity | 'malformed' | undefined {
  return text === undefined || text === '' ? undefined : (readIdentity(text) ?? 'malformed');
}

function refuse(
  parts: AnswerParts,
  code: RefusalCode,
  reason: string,
  message: string,
  caller?: Caller,
): CertificateAnswer {
  parts.counters.refused(reason);
  parts.log.warn('Refused a certificate request', {
    reason,
    why: message,
    ...(caller === undefined ? {} : whoIs(caller)),
  });
  return { kind: 'refused', code, message };
}

/** A pod counts for itself; a token that is bound to none, for its account. */
function keyOf({ namespace, serviceAccount, pod }: Caller): string {
  return pod?.uid ?? `${namespace}/${serviceAccount}`;
}

function whoIs(caller: Caller): Record<string, string | undefined> {
  return {
    caller: `${caller.namespace}/${caller.serviceAccount}`,
    callerPod: caller.pod?.name,
    callerNode: caller.node,
  };
}
