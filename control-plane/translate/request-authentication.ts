// RequestAuthentication (the reference's schema) -> which tokens waypoints accept, and what its status shall say. Pure.
// Called by http-policies.ts. Invariant: one that cannot be read lets no request through where it holds; one whose keys
// alone are wrong refuses its tokens, and nothing else.

import type {
  JwtRule,
  KeySource,
  RequestAuthentication,
} from '../../mesh/request-authentication.ts';
import type { KubeObject } from '../../runtime/kubernetes/objects.ts';
import { REQUEST_AUTHENTICATIONS } from '../../runtime/kubernetes/resources.ts';
import type { Problem } from '../../wire/status.ts';
import type { Limit } from './authorization.ts';
import type { Outcome } from './outcome.ts';
import {
  type Attachment,
  acceptedFinding,
  attachmentOf,
  enforcedFinding,
  type TargetWorld,
  targetRefsOf,
} from './policy-attachment.ts';
import { durationMs } from './routes/durations.ts';

type JwtRuleSpec = {
  readonly issuer?: string;
  readonly audiences?: readonly string[];
  readonly jwksUri?: string;
  readonly jwks?: string;
  readonly fromHeaders?: readonly { readonly name?: string; readonly prefix?: string }[];
  readonly fromParams?: readonly string[];
  readonly fromCookies?: readonly string[];
  readonly outputPayloadToHeader?: string;
  readonly outputClaimToHeaders?: readonly { readonly header?: string; readonly claim?: string }[];
  readonly forwardOriginalToken?: boolean;
  readonly timeout?: string;
};

export type RequestAuthenticationObject = KubeObject & {
  readonly spec?: {
    readonly selector?: unknown;
    readonly targetRef?: unknown;
    readonly targetRefs?: readonly unknown[];
    readonly jwtRules?: readonly JwtRuleSpec[];
  };
};

export type AuthenticationTranslation = {
  readonly object: RequestAuthenticationObject;
  readonly policy: RequestAuthentication;
  readonly attachment: Attachment;
  readonly limits: readonly Limit[];
};

/** As the reference waits for an issuer. */
const DEFAULT_TIMEOUT_MS = 5000;
const MAX_TIMEOUT_MS = 60_000;
const HEADER = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

export function requestAuthenticationOf(
  object: RequestAuthenticationObject,
  world: TargetWorld,
): AuthenticationTranslation {
  const { name = '', namespace = '' } = object.metadata;
  const spec = object.spec ?? {};
  const attachment = attachmentOf(targetRefsOf(spec), namespace, world);
  const base = { namespace, name, targets: attachment.targets };
  const rules: JwtRule[] = [];
  const limits: Limit[] = [];
  for (const [index, rule] of (spec.jwtRules ?? []).entries()) {
    try {
      rules.push(readRule(rule));
    } catch (error) {
      limits.push(unreadableRule(`spec.jwtRules[${index}].${whyOf(error)}`));
    }
  }
  const [first] = limits;
  return { object, attachment, limits, policy: { ...base, rules, broken: first?.message } };
}

/** Of an object that no schema let in: it may have been meant to check tokens anywhere in its namespace. */
export function unreadableAuthentication(
  object: RequestAuthenticationObject,
  why: string,
): AuthenticationTranslation {
  const { name = '', namespace = '' } = object.metadata;
  const limit = unreadableRule(why);
  return {
    object,
    policy: {
      namespace,
      name,
      targets: [{ kind: 'namespace', namespace }],
      rules: [],
      broken: limit.message,
    },
    attachment: { targets: [], by: [`all of namespace ${namespace}`], limits: [] },
    limits: [limit],
  };
}

function unreadableRule(what: string): Limit {
  return {
    reason: 'Unreadable',
    message: `Waypoints cannot check tokens by it, so no request gets through: ${what}`,
    remedy: 'Mend or remove the rule',
  };
}

function whyOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** @throws Error that names the field first */
function readRule(spec: JwtRuleSpec): JwtRule {
  const { issuer = '', jwks, jwksUri, timeout } = spec;
  if (issuer === '') throw new Error('issuer is empty');
  return {
    issuer,
    audiences: [...(spec.audiences ?? [])],
    keys: keysOf({ issuer, jwks, jwksUri }, timeout),
    fromHeaders: (spec.fromHeaders ?? []).map(({ name, prefix = '' }) => ({
      name: headerOf(name, 'fromHeaders'),
      prefix,
    })),
    fromParams: [...(spec.fromParams ?? [])],
    fromCookies: [...(spec.fromCookies ?? [])],
    forwardOriginalToken: spec.forwardOriginalToken === true,
    outputPayloadToHeader:
      spec.outputPayloadToHeader === undefined || spec.outputPayloadToHeader === ''
        ? undefined
        : headerOf(spec.outputPayloadToHeader, 'outputPayloadToHeader'),
    outputClaimToHeaders: (spec.outputClaimToHeaders ?? []).map(({ header, claim = '' }) => {
      if (claim === '') throw new Error('outputClaimToHeaders names no claim');
      return { header: headerOf(header, 'outputClaimToHeaders'), claim };
    }),
  };
}

function keysOf(
  rule: {
    readonly issuer: string;
    readonly jwks: string | undefined;
    readonly jwksUri: string | undefined;
  },
  timeout: string | undefined,
): KeySource {
  const { issuer, jwks = '', jwksUri = '' } = rule;
  if (jwks !== '') return { kind: 'inline', jwks };
  const timeoutMs = timeoutOf(timeout);
  if (jwksUri !== '') return { kind: 'fetched', uri: urlOf(jwksUri, 'jwksUri'), timeoutMs };
  // OpenID Connect: the issuer's own word of where its keys are
  return { kind: 'discovered', issuer: urlOf(issuer, 'issuer'), timeoutMs };
}

function urlOf(text: string, field: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return text;
  throw new Error(`${field} "${text.slice(0, 200)}" is no address of HTTP to fetch keys from`);
}

function timeoutOf(text: string | undefined): number {
  if (text === undefined || text === '') return DEFAULT_TIMEOUT_MS;
  let ms = 0;
  try {
    ms = durationMs(text, 'timeout');
  } catch {
    // said below
  }
  if (ms >= 1 && ms <= MAX_TIMEOUT_MS) return ms;
  throw new Error(`timeout "${text}" is not a duration from 1ms to 1m`);
}

function headerOf(name: string | undefined, field: string): string {
  if (name !== undefined && HEADER.test(name)) return name.toLowerCase();
  throw new Error(`${field} "${name ?? ''}" is no header name`);
}

export function authenticationProblems({
  object,
  attachment,
  limits,
}: AuthenticationTranslation): Problem[] {
  const { name = '', namespace = '' } = object.metadata;
  return [...attachment.limits, ...limits].map((limit) => ({
    object: `RequestAuthentication ${namespace}/${name}`,
    ...limit,
  }));
}

export function authenticationOutcome({
  object,
  attachment,
  limits,
}: AuthenticationTranslation): Outcome {
  return {
    resource: REQUEST_AUTHENTICATIONS,
    object,
    findings: [
      acceptedFinding([...attachment.limits, ...limits]),
      enforcedFinding(attachment, limits),
    ],
  };
}

/** Tokens are in HTTP: nothing of one without targets is for node agents, and it must not seem to be in force. */
export function untargetedOutcome(object: RequestAuthenticationObject): Outcome {
  return {
    resource: REQUEST_AUTHENTICATIONS,
    object,
    findings: [
      { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'The policy is valid' },
      {
        type: 'Enforced',
        status: 'False',
        reason: 'WaypointRequired',
        message:
          'Node agents see no tokens: only a waypoint can check them. Attach the policy to one with targetRefs',
      },
    ],
  };
}
