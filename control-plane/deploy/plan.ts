// Everything about Gateways of ours at one moment: the objects that shall run their proxies, what their status shall say,
// and what else has to be known for it. Pure, always from the whole. Called by gateways.ts at each change.

import type { GatewayListeners } from '../../mesh/gateway-listeners.ts';
import { WAYPOINT_FOR, WAYPOINT_KINDS, waypointForOf } from '../../mesh/waypoint.ts';
import type {
  Gateway,
  GatewayClass,
  ReferenceGrant,
} from '../../runtime/kubernetes/gateway-objects.ts';
import type { ConfigMap, Secret } from '../../runtime/kubernetes/objects.ts';
import {
  CONFIG_MAPS,
  GATEWAY_CLASSES,
  type Resource,
  SECRETS,
} from '../../runtime/kubernetes/resources.ts';
import type { Problem, WaypointStatus } from '../../wire/status.ts';
import type { Outcome } from '../translate/outcome.ts';
import { Grants } from '../translate/routes/grants.ts';
import type { WaypointUse } from '../translate/waypoints.ts';
import { type DesiredObject, desiredObjects, ownerOf } from './desired.ts';
import { type GatewayKind, gatewayKind, OWN_CLASSES } from './gateway-kind.ts';
import {
  addressesOf,
  classOutcome,
  type GatewayVerdict,
  gatewayOutcome,
  type Running,
} from './gateway-outcome.ts';
import { permitsSecret } from './listener-certificates.ts';
import { judgeListeners } from './listeners.ts';
import { ParameterError, parametersFault, parametersMap, readParameters } from './parameters.ts';
import { rootMapFor } from './root-map.ts';
import type { DeploySettings } from './settings.ts';

/** An object that is followed by name: `unknown` until it was looked for, undefined when it is not there. */
export type Followed<T> = T | undefined | 'unknown';

export type Reference = {
  readonly resource: Resource;
  readonly namespace: string;
  readonly name: string;
};

export type GatewayFacts = {
  readonly gateways: Iterable<Gateway>;
  readonly classes: ReadonlyMap<string, GatewayClass>;
  readonly grants: Iterable<ReferenceGrant>;
  /** What was made for a Gateway, by its namespace and name. */
  readonly running: (namespace: string, name: string) => Running;
  readonly configMap: (namespace: string, name: string) => Followed<ConfigMap>;
  readonly secret: (namespace: string, name: string) => Followed<Secret>;
  /** Why an object of a Gateway, by the Gateway's UID, could not be made. */
  readonly failureOf: (uid: string) => string | undefined;
  /** The ConfigMap with the mesh's roots, as the CA publishes it. */
  readonly roots: ConfigMap | undefined;
  /** By `namespace/name/listener`. */
  readonly attachedRoutes: ReadonlyMap<string, number>;
  /** By `namespace/name`. */
  readonly uses: ReadonlyMap<string, WaypointUse>;
};

export type GatewayPlan = {
  readonly desired: readonly DesiredObject[];
  /** UIDs of Gateways whose objects are not to be touched for now. */
  readonly untouched: ReadonlySet<string>;
  /** UIDs of all Gateways there are: what they own and is not desired may go. */
  readonly known: ReadonlySet<string>;
  readonly outcomes: readonly Outcome[];
  readonly problems: readonly Problem[];
  readonly references: readonly Reference[];
  readonly waypoints: readonly WaypointStatus[];
  /** For the proxies of each Gateway that is an ingress. */
  readonly listeners: readonly GatewayListeners[];
  /** Of those, the ones a Secret of which was not looked for yet. */
  readonly pending: ReadonlySet<string>;
};

// A Service's name is a label of a DNS name.
const MAX_NAME_CHARS = 63;

export function planGateways(facts: GatewayFacts, settings: DeploySettings): GatewayPlan {
  const desired: DesiredObject[] = OWN_CLASSES.map((object) => ({
    resource: GATEWAY_CLASSES,
    object,
  }));
  const outcomes: Outcome[] = [...facts.classes.values()]
    .filter((one) => one.spec.controllerName === OWN_CLASSES[0]?.spec.controllerName)
    .map(classOutcome);
  const untouched = new Set<string>();
  const known = new Set<string>();
  const problems: Problem[] = [];
  const references: Reference[] = [];
  const waypoints: WaypointStatus[] = [];
  const listeners: GatewayListeners[] = [];
  const pending = new Set<string>();
  const grants = new Grants(facts.grants);
  const places = new Map<string, Gateway[]>();
  for (const gateway of facts.gateways) {
    const { name = '', namespace = '', uid = '', deletionTimestamp } = gateway.metadata;
    known.add(uid);
    const kind = gatewayKind(gateway, facts.classes);
    // what it owns goes with it
    if (kind === undefined || deletionTimestamp !== undefined) {
      if (deletionTimestamp !== undefined) untouched.add(uid);
      continue;
    }
    references.push(...referencesOf(gateway, grants));
    const made = make(gateway, kind, facts, settings);
    if (made.objects === undefined) untouched.add(uid);
    else {
      desired.push(...made.objects);
      places.set(namespace, [...(places.get(namespace) ?? []), gateway]);
    }
    const verdict: GatewayVerdict = {
      fault: made.fault,
      listeners: judgeListeners(gateway, kind, {
        grants,
        secret: facts.secret,
      }),
      failure: facts.failureOf(uid),
      running: facts.running(namespace, name),
    };
    if (kind === 'ingress') {
      const key = `${namespace}/${name}`;
      const served = verdict.listeners.flatMap(({ served }) => served ?? []);
      listeners.push({ gateway: key, listeners: served });
      if (verdict.listeners.some((one) => one.pending)) pending.add(key);
    }
    const outcome = gatewayOutcome(
      gateway,
      verdict,
      (listener) => facts.attachedRoutes.get(`${namespace}/${name}/${listener}`) ?? 0,
    );
    outcomes.push(outcome);
    problems.push(...problemsOf(outcome), ...labelProblems(gateway, kind));
    waypoints.push(statusOf(gateway, kind, verdict, outcome, facts));
  }
  const rootMaps = [...places].flatMap(([namespace, gateways]) =>
    namespace === settings.namespace
      ? []
      : rootMapFor(
          namespace,
          gateways.map((one) => ownerOf(one, false)),
          facts.roots,
        ),
  );
  return {
    // pods wait for the map they mount
    desired: [...rootMaps, ...desired],
    untouched,
    known,
    outcomes,
    problems,
    references,
    waypoints,
    listeners,
    pending,
  };
}

type Made = {
  /** undefined: leave what there is. */
  readonly objects: readonly DesiredObject[] | undefined;
  readonly fault: GatewayVerdict['fault'];
};

function make(
  gateway: Gateway,
  kind: GatewayKind,
  facts: GatewayFacts,
  settings: DeploySettings,
): Made {
  const { name = '', namespace = '' } = gateway.metadata;
  const invalid = (reason: string, message: string): Made => ({
    objects: undefined,
    fault: { reason, message },
  });
  if (name.length > MAX_NAME_CHARS) {
    return invalid(
      'Invalid',
      `Its name has more than ${MAX_NAME_CHARS} characters: no Service can have it`,
    );
  }
  const unsupported = addressFault(gateway, kind);
  if (unsupported !== undefined) return invalid('UnsupportedAddress', unsupported);
  const wrong = parametersFault(gateway);
  if (wrong !== undefined) return invalid('InvalidParameters', wrong);
  const map = parametersMap(gateway);
  const found = map === undefined ? undefined : facts.configMap(namespace, map);
  if (found === 'unknown') return { objects: undefined, fault: undefined };
  try {
    const parameters = readParameters(gateway, found);
    return { objects: desiredObjects(gateway, kind, parameters, settings), fault: undefined };
  } catch (error) {
    if (error instanceof ParameterError) return invalid('InvalidParameters', error.message);
    throw error;
  }
}

/** Of a load balancer one address can be asked for; a Service chooses its own otherwise. */
function addressFault({ spec }: Gateway, kind: GatewayKind): string | undefined {
  const wanted = (spec.addresses ?? []).filter(({ value = '' }) => value !== '');
  const [first] = wanted;
  if (first === undefined) return undefined;
  if (kind === 'waypoint')
    return 'A waypoint has the address of its Service: no other can be asked for';
  if (wanted.length === 1 && (first.type ?? 'IPAddress') === 'IPAddress') return undefined;
  return 'No more than one address can be asked for, of type IPAddress';
}

/** A Secret of another namespace is not even looked for without a grant. */
function referencesOf({ metadata, spec }: Gateway, grants: Grants): Reference[] {
  const { namespace = '' } = metadata;
  const map = parametersMap({ metadata, spec });
  const certificates = spec.listeners.flatMap(({ tls }) =>
    (tls?.certificateRefs ?? []).flatMap((ref): Reference[] =>
      (ref.kind ?? 'Secret') === 'Secret' &&
      (ref.group ?? '') === '' &&
      permitsSecret(grants, namespace, ref)
        ? [{ resource: SECRETS, namespace: ref.namespace ?? namespace, name: ref.name }]
        : [],
    ),
  );
  return [
    ...(map === undefined ? [] : [{ resource: CONFIG_MAPS, namespace, name: map }]),
    ...certificates,
  ];
}

function problemsOf({ object, findings }: Outcome): Problem[] {
  const { name = '', namespace = '' } = object.metadata;
  return findings.flatMap(({ type, status, reason, message }) =>
    status === 'False' && (type === 'Accepted' || reason === 'NoResources')
      ? [
          {
            object: `Gateway ${namespace}/${name}`,
            reason,
            message,
            remedy: `kubectl describe gateway ${name} -n ${namespace}`,
          },
        ]
      : [],
  );
}

function labelProblems({ metadata }: Gateway, kind: GatewayKind): Problem[] {
  const { name = '', namespace = '', labels = {} } = metadata;
  const said = labels[WAYPOINT_FOR];
  if (kind !== 'waypoint' || said === undefined || said === waypointForOf(labels)) return [];
  return [
    {
      object: `Gateway ${namespace}/${name}`,
      reason: 'UnknownWaypointFor',
      message: `Label ${WAYPOINT_FOR} is "${said}": expected ${WAYPOINT_KINDS.join(', ')}. It takes connections to services`,
      remedy: `kubectl label gateway ${name} -n ${namespace} ${WAYPOINT_FOR}=service --overwrite`,
    },
  ];
}

function statusOf(
  gateway: Gateway,
  kind: GatewayKind,
  { running }: GatewayVerdict,
  { findings }: Outcome,
  { uses }: GatewayFacts,
): WaypointStatus {
  const { name = '', namespace = '', labels } = gateway.metadata;
  const { services = 0, workloads = 0 } = uses.get(`${namespace}/${name}`) ?? {};
  const programmed = findings.find(({ type }) => type === 'Programmed');
  return {
    namespace,
    name,
    kind,
    ...(kind === 'waypoint' ? { for: waypointForOf(labels) } : {}),
    replicas: running.deployment?.spec.replicas ?? 0,
    ready: running.deployment?.status?.readyReplicas ?? 0,
    programmed: programmed?.status === 'True',
    message: programmed?.message ?? '',
    addresses: addressesOf(running.service).map(({ value }) => value),
    services,
    workloads,
  };
}
