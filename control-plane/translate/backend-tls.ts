// BackendTLSPolicy -> how TLS is spoken to the ports of a Service, and what the policy's status shall say of each Gateway
// that leads there. Pure. Called by deploy/gateways.ts with each plan, since what policies refer to is followed there.
// Invariant: a policy that cannot be kept closes the way it was for; nothing goes there in plain text instead.

import { type BackendTls, type BackendTlsTerms, backendTlsKey } from '../../mesh/backend-tls.ts';
import type { Route } from '../../mesh/route.ts';
import {
  BACKEND_TLS_SYSTEM,
  type BackendTlsPolicy,
  type BackendTlsTarget,
} from '../../runtime/kubernetes/backend-tls-objects.ts';
import type { ConfigMap, Service } from '../../runtime/kubernetes/objects.ts';
import { BACKEND_TLS_POLICIES, GATEWAYS } from '../../runtime/kubernetes/resources.ts';
import { type CaReference, rootsOf } from './ca-references.ts';
import type { Finding } from './outcome.ts';
import type { RouteOutcome } from './routes/findings.ts';
import { hostnameOf } from './service.ts';

export type BackendTlsFacts = {
  readonly policies: Iterable<BackendTlsPolicy>;
  readonly service: (namespace: string, name: string) => Service | undefined;
  readonly configMap: (namespace: string, name: string) => ConfigMap | 'unknown' | undefined;
  /** Those in force: they tell which Gateways lead to a Service. */
  readonly routes: Iterable<Route>;
  readonly clusterDomain: string;
};

export type BackendTlsPlan = {
  readonly tls: readonly BackendTls[];
  /** Of each policy: its ancestors are in the place of parents. */
  readonly outcomes: readonly RouteOutcome[];
  readonly references: readonly CaReference[];
  /** Keys of `tls` that wait for what their policy names to be looked for. */
  readonly pending: ReadonlySet<string>;
};

// The API has room for as many.
const MAX_ANCESTORS = 16;

export function planBackendTls(facts: BackendTlsFacts): BackendTlsPlan {
  const tls = new Map<string, BackendTls>();
  const pending = new Set<string>();
  const outcomes: RouteOutcome[] = [];
  const references: CaReference[] = [];
  const leading = gatewaysByService(facts.routes);
  for (const policy of [...facts.policies].toSorted(byAge)) {
    const { namespace = '' } = policy.metadata;
    const read = rootsOf(policy, facts.configMap);
    references.push(...read.references);
    const terms = termsOf(policy, read);
    const lost: string[] = [];
    const missing: string[] = [];
    const ancestors = new Set<string>();
    for (const target of policy.spec.targetRefs) {
      const place = placeOf(target, namespace, facts);
      if (place === undefined) {
        missing.push(`${target.kind} ${target.name}`);
        continue;
      }
      for (const gateway of leading.get(place.service) ?? []) ancestors.add(gateway);
      const key = backendTlsKey(place);
      if (tls.has(key)) lost.push(textOf(target));
      else {
        tls.set(key, { ...place, terms });
        if (read.pending) pending.add(key);
      }
    }
    const targets = policy.spec.targetRefs.length;
    const findings = [
      acceptance({ targets, lost, missing, terms, fault: read.fault }),
      resolution(read.fault),
    ];
    const parents = [...ancestors]
      .toSorted()
      .slice(0, MAX_ANCESTORS)
      .map((key) => ({
        parentRef: ancestorOf(key),
        findings,
      }));
    const said = policy.status?.ancestors ?? [];
    // nothing of ours to say, and nothing that we said
    if (parents.length === 0 && said.length === 0) continue;
    outcomes.push({ resource: BACKEND_TLS_POLICIES, object: policy, parents });
  }
  return { tls: [...tls.values()], outcomes, references, pending };
}

/** The older policy has a target first. */
function byAge(a: BackendTlsPolicy, b: BackendTlsPolicy): number {
  const key = ({ metadata }: BackendTlsPolicy): string =>
    `${metadata.creationTimestamp ?? ''} ${metadata.namespace}/${metadata.name}`;
  return key(a) < key(b) ? -1 : 1;
}

function placeOf(
  { group, kind, name, sectionName }: BackendTlsTarget,
  namespace: string,
  { service, clusterDomain }: BackendTlsFacts,
): Pick<BackendTls, 'service' | 'port'> | undefined {
  if (group !== '' || kind !== 'Service') return undefined;
  const key = `${namespace}/${hostnameOf(name, namespace, clusterDomain)}`;
  const found = service(namespace, name);
  if (found === undefined) return undefined;
  if (sectionName === undefined) return { service: key, port: undefined };
  const port = (found.spec.ports ?? []).find((one) => one.name === sectionName)?.port;
  return port === undefined ? undefined : { service: key, port };
}

function termsOf(
  { spec }: BackendTlsPolicy,
  { roots, fault }: ReturnType<typeof rootsOf>,
): BackendTlsTerms {
  const { hostname, subjectAltNames = [], wellKnownCACertificates } = spec.validation;
  if (wellKnownCACertificates !== undefined && wellKnownCACertificates !== BACKEND_TLS_SYSTEM) {
    const why = `wellKnownCACertificates ${wellKnownCACertificates} is not known here`;
    return { kind: 'broken', why };
  }
  if (wellKnownCACertificates === undefined && roots === undefined) {
    return { kind: 'broken', why: fault?.message ?? 'its policy says nobody whom to believe' };
  }
  const names = subjectAltNames.flatMap(({ hostname: dns, uri }) => [
    ...(dns === undefined ? [] : [{ kind: 'dns' as const, value: dns }]),
    ...(uri === undefined ? [] : [{ kind: 'uri' as const, value: uri }]),
  ]);
  return { kind: 'verify', serverName: hostname, names, roots };
}

function acceptance({
  targets,
  lost,
  missing,
  terms,
  fault,
}: {
  readonly targets: number;
  readonly lost: readonly string[];
  readonly missing: readonly string[];
  readonly terms: BackendTlsTerms;
  readonly fault: Finding | undefined;
}): Finding {
  const not = (reason: string, message: string): Finding => ({
    type: 'Accepted',
    status: 'False',
    reason,
    message,
  });
  const notes = [
    ...lost.map((target) => `An older policy has ${target}`),
    ...missing.map((target) => `${target} is not there`),
  ].join('. ');
  if (terms.kind === 'broken') {
    return not(fault === undefined ? 'Invalid' : 'NoValidCACertificate', terms.why);
  }
  if (missing.length === targets) return not('TargetNotFound', notes);
  if (lost.length + missing.length === targets) return not('Conflicted', notes);
  return {
    type: 'Accepted',
    status: 'True',
    reason: 'Accepted',
    message: notes === '' ? 'It is obeyed' : notes,
  };
}

function resolution(fault: Finding | undefined): Finding {
  if (fault !== undefined) return fault;
  return {
    type: 'ResolvedRefs',
    status: 'True',
    reason: 'ResolvedRefs',
    message: 'All references are resolved',
  };
}

/** Service key -> `namespace/name` of the Gateways whose routes lead to it. */
function gatewaysByService(routes: Iterable<Route>): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const { parents, rules } of routes) {
    const gateways = parents.flatMap((one) => (one.kind === 'listener' ? one.gateway : []));
    if (gateways.length === 0) continue;
    for (const { target } of rules.flatMap(({ backends }) => backends)) {
      if (target.kind !== 'service') continue;
      const known = found.get(target.service) ?? new Set();
      for (const gateway of gateways) known.add(gateway);
      found.set(target.service, known);
    }
  }
  return found;
}

function ancestorOf(key: string): RouteOutcome['parents'][number]['parentRef'] {
  const [namespace = '', name = ''] = key.split('/');
  return { group: GATEWAYS.group, kind: GATEWAYS.kind, namespace, name };
}

function textOf({ kind, name, sectionName }: BackendTlsTarget): string {
  return `${kind} ${name}${sectionName === undefined ? '' : ` port ${sectionName}`}`;
}
