// The RequestAuthentication resource, in JSON: which tokens count. Called by the two ends of discovery. One that cannot be
// read is refused whole; closedRequestAuthentication stands in for it and lets no request through.

import type { JwtRule, KeySource, RequestAuthentication } from '../mesh/request-authentication.ts';
import {
  encodeJson,
  flag,
  integer,
  list,
  maybe,
  oneOf,
  parseJson,
  type Reader,
  record,
  text,
  union,
} from './checked-json.ts';
import {
  closedTargets,
  MAX_POLICY_BYTES,
  MAX_POLICY_ITEMS,
  policyName,
  policyTargets,
} from './policy-targets.ts';

export const TYPE_REQUEST_AUTHENTICATION = 'type.googleapis.com/ambit.policy.RequestAuthentication';

export function encodeRequestAuthentication(policy: RequestAuthentication): Uint8Array {
  return encodeJson(policy);
}

/** @throws DecodeError naming what of it */
export function decodeRequestAuthentication(body: Uint8Array): RequestAuthentication {
  return POLICY(parseJson(body, MAX_POLICY_BYTES, 'a policy'), 'policy');
}

/** What stands in for one that {@link decodeRequestAuthentication} refused. */
export function closedRequestAuthentication(
  resourceName: string,
  body: Uint8Array,
): RequestAuthentication {
  const slash = resourceName.indexOf('/');
  const namespace = resourceName.slice(0, Math.max(slash, 0));
  return {
    namespace,
    name: resourceName.slice(slash + 1),
    targets: closedTargets(namespace, body),
    rules: [],
    broken: 'this version cannot read it',
  };
}

const names = list(policyName, MAX_POLICY_ITEMS);
const anyText = text(MAX_POLICY_BYTES);
/** Longer than a minute no request waits for keys. */
const timeoutMs = integer(1, 60_000);

const KEYS: Reader<KeySource> = union('kind', {
  inline: record({ kind: oneOf('inline'), jwks: anyText }),
  fetched: record({ kind: oneOf('fetched'), uri: policyName, timeoutMs }),
  discovered: record({ kind: oneOf('discovered'), issuer: policyName, timeoutMs }),
});

const RULE: Reader<JwtRule> = record({
  issuer: policyName,
  audiences: names,
  keys: KEYS,
  fromHeaders: list(record({ name: policyName, prefix: anyText }), MAX_POLICY_ITEMS),
  fromParams: names,
  fromCookies: names,
  forwardOriginalToken: flag,
  outputPayloadToHeader: maybe(policyName),
  outputClaimToHeaders: list(record({ header: policyName, claim: policyName }), MAX_POLICY_ITEMS),
});

const POLICY: Reader<RequestAuthentication> = record({
  namespace: policyName,
  name: policyName,
  targets: policyTargets,
  rules: list(RULE, MAX_POLICY_ITEMS),
  broken: maybe(anyText),
});
