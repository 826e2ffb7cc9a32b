// L7 policy for a connection that is no HTTP: only what a connection has can be asked of it. Called by the waypoint for
// streams it carries as bytes. Pure. Invariant: what asks of requests never lets bytes in and always keeps them out, and
// nobody else can be asked about them: CUSTOM that may match denies.

import type { IpPort } from './address.ts';
import { authorizeRequest, type RequestDecision } from './authorize-request.ts';
import type { HttpPolicy, HttpRule, PolicyTest } from './http-policy.ts';
import type { RequestSource } from './http-request.ts';

export type BytesFacts = {
  readonly source: RequestSource;
  readonly destination: IpPort;
  /** The name in the TLS handshake within, where there was one. */
  readonly sni: string | undefined;
};

/** `policies`: those that hold where the connection is. Never `ask`. */
export function authorizeBytes(
  policies: readonly HttpPolicy[],
  { source, destination, sni }: BytesFacts,
): RequestDecision {
  const facts = { request: NO_REQUEST, source, destination, sni, token: undefined, trustedHops: 0 };
  return authorizeRequest(policies.map(ofBytes), facts, { evaluate: () => undefined });
}

const NO_REQUEST = {
  method: '',
  scheme: 'http',
  authority: '',
  path: '',
  query: undefined,
  headers: [],
} as const;

const OF_CONNECTIONS: ReadonlySet<PolicyTest['attribute']> = new Set([
  'source.principal',
  'source.namespace',
  'source.serviceAccount',
  'source.ip',
  'remote.ip',
  'destination.ip',
  'destination.port',
  'connection.sni',
] as const);

function ofBytes(policy: HttpPolicy): HttpPolicy {
  const rules = policy.rules.map(ruleOfBytes);
  if (policy.action !== 'custom') return { ...policy, rules };
  const why = 'the connection carries no HTTP';
  return { ...policy, rules, provider: { name: policy.provider.name, why } };
}

function ruleOfBytes({ clauses }: HttpRule): HttpRule {
  return {
    clauses: clauses.map(({ part, anyOf }) => ({
      part,
      anyOf: anyOf.map((tests) => tests.map(testOfBytes)),
    })),
  };
}

function testOfBytes(test: PolicyTest): PolicyTest {
  if (OF_CONNECTIONS.has(test.attribute)) return test;
  return { attribute: 'unreadable', why: `${test.attribute} is of requests` };
}
