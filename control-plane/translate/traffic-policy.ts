// All TrafficPolicies of the cluster at one moment -> the mesh's, and what each object's status shall say. Pure. Called
// once a translation. Invariant: at most one policy holds for a target, the oldest; and what waypoints are told, they can
// read.

import {
  type TrafficPolicy,
  type TrafficTarget,
  trafficPolicyKey,
} from '../../mesh/traffic-policy.ts';
import type { KubeObject } from '../../runtime/kubernetes/objects.ts';
import { TRAFFIC_POLICIES } from '../../runtime/kubernetes/resources.ts';
import { DecodeError } from '../../wire/protobuf.ts';
import { decodeTrafficPolicy, encodeTrafficPolicy } from '../../wire/traffic-policy-resource.ts';
import type { Finding, Outcome } from './outcome.ts';
import type {
  TargetRef,
  TrafficPolicyObject,
  TrafficPolicySpec,
} from './traffic-policy-objects.ts';
import { SpecProblem, settingsOf } from './traffic-policy-spec.ts';

/** The rest of the cluster, as far as policies name it. */
export type TrafficPolicyContext = {
  /** The key a Service has in the mesh, whether or not it is there. */
  readonly serviceKey: (namespace: string, name: string) => string;
  /** undefined: there is no such Service. */
  readonly service: (namespace: string, name: string) => TargetService | undefined;
  /** The names of the route's rules (undefined: it has none); undefined: there is no such route. */
  readonly route: (
    kind: 'http' | 'grpc',
    namespace: string,
    name: string,
  ) => readonly (string | undefined)[] | undefined;
};

export type TargetService = {
  readonly ports: readonly { readonly name?: string; readonly port: number }[];
  /** Its endpoints' workloads. */
  readonly workloads: () => Iterable<{
    readonly uid: string;
    readonly labels: Readonly<Record<string, string>>;
  }>;
};

export type TrafficPolicyTranslation = {
  readonly policies: readonly TrafficPolicy[];
  readonly outcomes: readonly Outcome[];
};

export function trafficPoliciesOf(
  objects: Iterable<TrafficPolicyObject>,
  context: TrafficPolicyContext,
): TrafficPolicyTranslation {
  const holders = new Map<string, string>();
  const policies: TrafficPolicy[] = [];
  const outcomes = [...objects].toSorted(byAge).map((object): Outcome => {
    const translated = policyOf(object, context, holders);
    if (translated.policy !== undefined) policies.push(translated.policy);
    return { resource: TRAFFIC_POLICIES, object, findings: translated.findings };
  });
  return { policies, outcomes };
}

type Translated = {
  readonly policy: TrafficPolicy | undefined;
  readonly findings: readonly Finding[];
};

/** Takes its targets in `holders` only when it is valid: a broken policy stands in nobody's way. */
function policyOf(
  object: TrafficPolicyObject,
  context: TrafficPolicyContext,
  holders: Map<string, string>,
): Translated {
  const { name = '', namespace = '' } = object.metadata;
  const spec = object.spec ?? {};
  const found = (spec.targetRefs ?? []).map((ref) => targetOf(ref, namespace, context));
  const targets = found.flatMap((one) => ('target' in one ? [one.target] : []));
  const missing = found.flatMap((one) => ('problem' in one ? [one.problem] : []));
  let settings: TrafficPolicy['settings'];
  try {
    settings = settingsOf(spec, {
      serviceKey: (service) => context.serviceKey(namespace, service),
      workloadsWith: (labels) => workloadsOf(spec, namespace, context, labels),
    });
    const whole = { namespace, name, targets, settings };
    decodeTrafficPolicy(trafficPolicyKey(whole), encodeTrafficPolicy(whole));
  } catch (error) {
    if (!(error instanceof SpecProblem) && !(error instanceof DecodeError)) throw error;
    return { policy: undefined, findings: [refused('Invalid', error.message)] };
  }
  const taken = targets.flatMap((target) => {
    const holder = holders.get(targetText(target));
    return holder === undefined ? [] : [`${targetText(target)} has ${holder}, which is older`];
  });
  const own = targets.filter((target) => !holders.has(targetText(target)));
  for (const target of own) holders.set(targetText(target), `${namespace}/${name}`);
  const resolved = resolution(spec, namespace, context);
  if (own.length === 0) {
    const reason = taken.length > 0 ? 'Conflicted' : 'TargetNotFound';
    const message = [...taken, ...missing].join('; ') || 'spec.targetRefs is empty: name a target';
    return { policy: undefined, findings: [refused(reason, message), ...resolved] };
  }
  const holds = `It holds for ${own.map(targetText).join(', ')}`;
  const message = [holds, ...taken, ...missing].join('; ');
  const accepted = { type: 'Accepted', status: 'True', reason: 'Accepted', message } as const;
  return { policy: { namespace, name, targets: own, settings }, findings: [accepted, ...resolved] };
}

function refused(reason: string, message: string): Finding {
  return { type: 'Accepted', status: 'False', reason, message };
}

const GATEWAY_GROUP = 'gateway.networking.k8s.io';
const ROUTE_KINDS: Readonly<Record<string, 'http' | 'grpc'>> = {
  HTTPRoute: 'http',
  GRPCRoute: 'grpc',
};

function targetOf(
  { group = '', kind, name, sectionName }: TargetRef,
  namespace: string,
  context: TrafficPolicyContext,
): { readonly target: TrafficTarget } | { readonly problem: string } {
  const absent = { problem: `${kind} ${namespace}/${name} is not there` };
  const routeKind = group === GATEWAY_GROUP ? ROUTE_KINDS[kind] : undefined;
  if (routeKind !== undefined) {
    const rules = context.route(routeKind, namespace, name);
    if (rules === undefined) return absent;
    if (sectionName !== undefined && !rules.includes(sectionName)) {
      return { problem: `${kind} ${namespace}/${name} has no rule named ${sectionName}` };
    }
    const route = `${routeKind}/${namespace}/${name}`;
    return { target: { kind: 'route', route, rule: sectionName } };
  }
  if (group !== '' || kind !== 'Service') {
    return { problem: `${kind} of group "${group}" is no target: name a Service or a route` };
  }
  const service = context.service(namespace, name);
  if (service === undefined) return absent;
  const port = service.ports.find((one) => one.name === sectionName)?.port;
  if (sectionName !== undefined && port === undefined) {
    return { problem: `Service ${namespace}/${name} has no port named ${sectionName}` };
  }
  const key = context.serviceKey(namespace, name);
  return {
    target: { kind: 'service', service: key, port: sectionName === undefined ? undefined : port },
  };
}

/** As people read it, and as targets are told apart. */
function targetText(target: TrafficTarget): string {
  if (target.kind === 'service') {
    const port = target.port === undefined ? '' : `:${target.port}`;
    return `service ${target.service}${port}`;
  }
  return `route ${target.route}${target.rule === undefined ? '' : ` rule ${target.rule}`}`;
}

function workloadsOf(
  { targetRefs = [] }: TrafficPolicySpec,
  namespace: string,
  context: TrafficPolicyContext,
  labels: Readonly<Record<string, string>>,
): string[] {
  const services = new Set(
    targetRefs.filter(({ kind }) => kind === 'Service').map((ref) => ref.name),
  );
  const uids = [...services].flatMap((name) =>
    [...(context.service(namespace, name)?.workloads() ?? [])]
      .filter((workload) =>
        Object.entries(labels).every(([key, value]) => workload.labels[key] === value),
      )
      .map(({ uid }) => uid),
  );
  return [...new Set(uids)].toSorted();
}

/** Only of policies that need another Service: whether it is there. */
function resolution(
  { rateLimits }: TrafficPolicySpec,
  namespace: string,
  context: TrafficPolicyContext,
): Finding[] {
  const names = new Set((rateLimits?.global ?? []).map(({ redis }) => redis.name));
  if (names.size === 0) return [];
  const type = 'ResolvedRefs';
  const missing = [...names].filter((name) => context.service(namespace, name) === undefined);
  if (missing.length === 0) {
    const message = 'Every Service it needs is there';
    return [{ type, status: 'True', reason: 'ResolvedRefs', message }];
  }
  const services = missing.map((name) => `Service ${namespace}/${name}`).join(', ');
  const message = `${services} is not there: until it is, onFailure decides about requests`;
  return [{ type, status: 'False', reason: 'BackendNotFound', message }];
}

/** The older comes first, then by name, whichever replica looks. */
function byAge(a: KubeObject, b: KubeObject): number {
  const order = ({ metadata }: KubeObject): string =>
    `${metadata.creationTimestamp ?? ''} ${metadata.namespace}/${metadata.name}`;
  return order(a) < order(b) ? -1 : 1;
}
