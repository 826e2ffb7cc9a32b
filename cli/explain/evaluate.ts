// What would become of a connection, step by step, decided by the very code of the data plane: classify(), candidatesOf(),
// hopTo(), targetOf() and authorize(). Called by commands/explain.ts with the snapshots of the agents concerned. Pure.

import { formatIpPort, type IpPort } from '../../mesh/address.ts';
import { LEFT_TO_DESTINATION } from '../../mesh/authorize.ts';
import { candidatesOf, type Endpoint } from '../../mesh/balance.ts';
import { classify } from '../../mesh/classify.ts';
import { targetOf } from '../../mesh/destination.ts';
import {
  type AuthorizationExplanation,
  explainAuthorization,
} from '../../mesh/explain-authorization.ts';
import { type FailureCode, MeshError } from '../../mesh/failures.ts';
import { formatIdentity, type Identity } from '../../mesh/identity.ts';
import type { Intent } from '../../mesh/intent.ts';
import { type Hop, hopTo, nextHop } from '../../mesh/next-hop.ts';
import { admit } from '../../mesh/permit.ts';
import { requireWaypoint } from '../../mesh/require-waypoint.ts';
import { serviceKey } from '../../mesh/service.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import { type Workload, workloadIdentity } from '../../mesh/workload.ts';

/** How one endpoint would take the connection. */
export type Outcome =
  | { readonly result: 'allowed' | 'denied'; readonly authorization: AuthorizationExplanation }
  /** Nobody enforces policy there: it is not in the mesh. */
  | { readonly result: 'unchecked' }
  /** A waypoint or another network's gateway decides further. */
  | { readonly result: 'passed-on'; readonly to: string }
  | { readonly result: 'failed'; readonly code: FailureCode; readonly message: string };

export type EndpointExplanation = {
  readonly workload: string;
  readonly address: string;
  readonly via: Hop['via'];
  /** SPIFFE URI the endpoint sees; undefined for plain text. */
  readonly callerIdentity: string | undefined;
  readonly outcome: Outcome;
};

export type LeftOut = { readonly workload: string; readonly why: string };

export type ConnectionExplanation = {
  readonly source: {
    readonly workload: string;
    readonly inMesh: boolean;
    readonly identity: string;
  };
  readonly destination: string;
  /** What the destination is to the mesh, in words. */
  readonly classified: string;
  /** Where the connection may end; it is one of these, chosen by load. */
  readonly endpoints: readonly EndpointExplanation[];
  readonly leftOut: readonly LeftOut[];
  /** Why it ends before any endpoint is chosen. */
  readonly failure: { readonly code: FailureCode; readonly message: string } | undefined;
  readonly verdict: 'allowed' | 'denied' | 'failed' | 'depends';
};

export type Asked = {
  readonly source: Workload;
  readonly to: IpPort;
  /** Of the source's agent. */
  readonly snapshot: Snapshot;
  /** Of the agent of a node; the source's own where that one could not be asked. */
  readonly at: (node: string) => Snapshot;
};

export function explainConnection(asked: Asked): ConnectionExplanation {
  const { source, to } = asked;
  const inMesh = source.protocol === 'hbone';
  const base = {
    source: {
      workload: nameOf(source),
      inMesh,
      identity: formatIdentity(workloadIdentity(source)),
    },
    destination: formatIpPort(to),
    leftOut: [],
  };
  let intent: Intent;
  try {
    intent = classify(source, to, asked.snapshot);
  } catch (error) {
    return {
      ...base,
      classified: 'refused by the agent of the caller',
      endpoints: [],
      ...failed(error),
    };
  }
  const classified = describeIntent(intent);
  try {
    const { endpoints, leftOut } = endpointsOf(intent, asked);
    return {
      ...base,
      classified,
      endpoints,
      leftOut,
      failure: undefined,
      verdict: verdictOf(endpoints),
    };
  } catch (error) {
    const leftOut = intent.kind === 'service' ? leftOutOf(intent, asked, []) : [];
    return { ...base, classified, endpoints: [], leftOut, ...failed(error) };
  }
}

function failed(error: unknown): Pick<ConnectionExplanation, 'failure' | 'verdict'> {
  if (!(error instanceof MeshError)) throw error;
  return { failure: { code: error.code, message: error.message }, verdict: 'failed' };
}

function endpointsOf(
  intent: Intent,
  asked: Asked,
): { endpoints: EndpointExplanation[]; leftOut: LeftOut[] } {
  const { source, snapshot } = asked;
  const inMesh = source.protocol === 'hbone';
  // who is not captured goes where it addressed, or where Kubernetes leads it: no waypoint, no gateway
  if (
    intent.kind === 'service' ||
    (!inMesh && intent.kind === 'waypoint' && 'service' in intent.of)
  ) {
    const service = intent.kind === 'service' ? intent.service : serviceOf(intent);
    const port = service?.ports.find(({ servicePort }) => servicePort === asked.to.port);
    const wanted = service && { source, service, port, destination: asked.to.ip };
    const candidates = wanted === undefined ? [] : candidatesOf(wanted, snapshot);
    if (candidates.length > 0 && service !== undefined) {
      return {
        endpoints: candidates.map((endpoint) => explainEndpoint(endpoint, service, asked)),
        leftOut: leftOutOf({ service }, asked, candidates),
      };
    }
  }
  const hop = nextHop(admit(intent, LEFT_TO_DESTINATION), source, snapshot, ANY);
  return { endpoints: [explainHop(inMesh ? hop : plain(hop), asked)], leftOut: [] };
}

/** The data plane draws among equals; here all of them are shown, or the first one. */
const ANY = { random: () => 0, load: () => 0 };

function serviceOf(intent: Intent): Extract<Intent, { kind: 'service' }>['service'] | undefined {
  if (intent.kind === 'service') return intent.service;
  return intent.kind === 'waypoint' && 'service' in intent.of ? intent.of.service : undefined;
}

function explainEndpoint(
  { workload, port, reach }: Endpoint,
  service: Parameters<typeof hopTo>[2],
  asked: Asked,
): EndpointExplanation {
  switch (reach.by) {
    case 'address': {
      const hop = hopTo(workload, { ip: reach.ip, port }, service);
      return explainHop(asked.source.protocol === 'hbone' ? hop : plain(hop), asked);
    }
    case 'hostname':
      return {
        workload: nameOf(workload),
        address: `${reach.hostname}:${port}`,
        via: 'lookup',
        callerIdentity: undefined,
        outcome: { result: 'unchecked' },
      };
    case 'gateway':
      return {
        workload: nameOf(workload),
        address: `network ${workload.network}`,
        via: 'gateway',
        callerIdentity: formatIdentity(workloadIdentity(asked.source)),
        outcome: { result: 'passed-on', to: `the gateway of network ${workload.network}` },
      };
  }
}

/** What a caller outside the mesh makes of it: the same place, in plain text. */
function plain(hop: Hop): Hop {
  if (hop.via !== 'tunnel') return hop;
  const { workload, service } = hop;
  const [ip = hop.to.ip] = workload.addresses.filter((address) => address === hop.to.ip);
  const port = Number(/:(\d+)$/.exec(hop.authority)?.[1] ?? hop.to.port);
  return { via: 'tcp', to: { ip, port }, workload, service };
}

function explainHop(hop: Hop, asked: Asked): EndpointExplanation {
  const { workload } = hop;
  const base = {
    workload: workload === undefined ? 'not known to the mesh' : nameOf(workload),
    address: hop.via === 'lookup' ? `${hop.hostname}:${hop.port}` : formatIpPort(hop.to),
    via: hop.via,
    callerIdentity:
      hop.via === 'tcp' || hop.via === 'lookup'
        ? undefined
        : formatIdentity(workloadIdentity(asked.source)),
  };
  if (workload === undefined || hop.via === 'lookup')
    return { ...base, outcome: { result: 'unchecked' } };
  if (hop.via === 'gateway') {
    const to = `the gateway of network ${workload.network}`;
    return { ...base, outcome: { result: 'passed-on', to } };
  }
  return { ...base, outcome: arrive(hop, workload, asked) };
}

/** The destination's side, over what its own agent knows. */
function arrive(
  hop: Extract<Hop, { via: 'tunnel' | 'tcp' }>,
  workload: Workload,
  { source, at }: Asked,
): Outcome {
  if (workload.protocol !== 'hbone') return { result: 'unchecked' };
  const snapshot = at(workload.node);
  const there = snapshot.workloadByUid(workload.uid);
  if (there === undefined) {
    const message = `The agent on node ${workload.node} does not know ${nameOf(workload)} yet`;
    return { result: 'failed', code: 'DESTINATION_UNKNOWN', message };
  }
  try {
    const destination = hop.via === 'tcp' ? hop.to : applicationOf(hop, there, snapshot);
    const peer: Identity | undefined = hop.via === 'tcp' ? undefined : workloadIdentity(source);
    requireWaypoint({ peer, port: destination.port }, there, snapshot);
    const [ip = destination.ip] = source.addresses;
    const authorization = explainAuthorization(
      snapshot.policiesFor(there),
      { peer, source: { ip, port: 0 }, destination },
      snapshot.unknownPoliciesOf(there),
    );
    const result = authorization.decision.verdict === 'allow' ? 'allowed' : 'denied';
    return { result, authorization };
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    return { result: 'failed', code: error.code, message: error.message };
  }
}

function applicationOf(
  hop: Extract<Hop, { via: 'tunnel' }>,
  there: Workload,
  snapshot: Snapshot,
): IpPort {
  const port = Number(/:(\d+)$/.exec(hop.authority)?.[1]);
  const asked = { kind: 'address' as const, ip: hop.to.ip, port };
  return targetOf({ authority: asked, local: hop.to }, there, snapshot).to;
}

function leftOutOf(
  { service }: Pick<Extract<Intent, { kind: 'service' }>, 'service'>,
  { snapshot, to }: Asked,
  candidates: readonly Endpoint[],
): LeftOut[] {
  const key = serviceKey(service);
  const taken = new Set(candidates.map(({ workload }) => workload.uid));
  return snapshot
    .membersOf(key)
    .filter(({ uid }) => !taken.has(uid))
    .map((workload) => {
      const serves = workload.services.get(key)?.some(({ servicePort }) => servicePort === to.port);
      const why =
        workload.health !== 'healthy'
          ? workload.health
          : serves === true
            ? 'farther away than others, or on another network without a gateway'
            : `does not serve port ${to.port}`;
      return { workload: nameOf(workload), why };
    });
}

function describeIntent(intent: Intent): string {
  switch (intent.kind) {
    case 'service':
      return `service ${intent.service.hostname}, port ${intent.port.servicePort}`;
    case 'workload':
      return `workload ${nameOf(intent.workload)}, by its own address`;
    case 'waypoint': {
      const of =
        'service' in intent.of
          ? `service ${intent.of.service.hostname}`
          : `workload ${nameOf(intent.of.workload)}`;
      return `${of}, which must be reached through its waypoint`;
    }
    case 'passthrough':
      return intent.reason === 'unknown-destination'
        ? 'not known to the mesh: plain TCP straight on'
        : 'a service that is passed on as it is: plain TCP straight on';
  }
}

function verdictOf(endpoints: readonly EndpointExplanation[]): ConnectionExplanation['verdict'] {
  const results = new Set(endpoints.map(({ outcome }) => outcome.result));
  const open = results.has('allowed') || results.has('unchecked') || results.has('passed-on');
  const shut = results.has('denied') || results.has('failed');
  if (open && shut) return 'depends';
  if (open) return 'allowed';
  return results.has('denied') ? 'denied' : 'failed';
}

export function nameOf({ namespace, name }: Pick<Workload, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`;
}
