// A peer's tunnel stream arrives for a pod of this node. The whole journey is receive(), in the words of the data path:
// accept, classify, authorize, tunnel (here: the pod's own application), splice. Called by journeys.ts for each CONNECT.
// Invariant: a refused peer never learns whether the pod listens, and 200 is sent only when it does.

import { type Authority, formatIpPort, type IpPort } from '../mesh/address.ts';
import { dialledAt, type Target, targetOf } from '../mesh/destination.ts';
import { FAILURES, failureCodeOf, MeshError } from '../mesh/failures.ts';
import { formatIdentity, sameIdentity } from '../mesh/identity.ts';
import { admit } from '../mesh/permit.ts';
import type { Service } from '../mesh/service.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import { type DescribedWorkload, type Workload, workloadIdentity } from '../mesh/workload.ts';
import { splice } from '../tunnel/splice.ts';
import type { TunnelRequest } from '../tunnel/tunnel.ts';
import { readAuthority } from '../wire/authority.ts';
import { encodeProxyHeader } from '../wire/proxy-protocol.ts';
import { addressedService, baggageFields, describedBy, isFromAbroad } from './connect-head.ts';
import type { Connections } from './connections.ts';
import { decide, decideAgain, type PolicyView } from './decide.ts';
import { socketLeg } from './leg.ts';
import type { LocalPod } from './local-pod.ts';
import type { TrailFacts, Trails } from './trail.ts';

export type InboundSteps = {
  readonly trails: Trails;
  readonly connections: Connections;
  readonly snapshot: () => Snapshot;
  readonly policy: PolicyView;
};

export async function receive(
  pod: LocalPod,
  request: TunnelRequest,
  steps: InboundSteps,
): Promise<void> {
  const { peer, remote, local } = request;
  const facts: TrailFacts = {
    direction: 'inbound',
    source: remote,
    destination: local,
    sourceIdentity: peer,
    destinationIdentity: pod.enrolment.identity,
    authority: request.authority,
  };
  const trail = steps.trails.begin(facts, request.fields['traceparent']);
  try {
    const target = classifyRequest(pod, request, steps.snapshot());
    trail.learn(describe(request, target, steps));
    const asked = { peer, source: remote, destination: target.to };
    using registered = steps.connections.register({
      direction: 'inbound',
      podUid: pod.enrolment.podUid,
      trail,
      description: {
        src: formatIpPort(remote),
        originalDst: formatIpPort(target.to),
        protocol: 'hbone',
      },
      check: () => void admit(target, decideAgain(steps.policy, pod, asked)),
    });
    const decision = decide(steps.policy, pod, asked);
    trail.learn({ decision });
    const permit = admit(target, decision);
    request.signal.addEventListener('abort', () => registered.cut(request.signal.reason));
    const app = socketLeg(await pod.dial(dialOf(permit, remote), registered.signal));
    const stream = request.accept(baggageFields(target.workload));
    if (permit.announced !== undefined) app.bytes.write(announce(permit.announced, request));
    trail.established();
    const end = await splice(stream, app, trail.counts, registered.signal);
    if (end === 'aborted') throw registered.signal.reason;
    trail.end(stream.lost);
  } catch (error) {
    trail.end(error);
    request.refuse(FAILURES[failureCodeOf(error)].status ?? 503);
  }
}

/** The application sees the caller's address; a pod that calls itself is seen as itself without our doing. */
export function asSeenBy(to: IpPort, caller: IpPort): { to: IpPort; from?: IpPort['ip'] } {
  return caller.ip === to.ip ? { to } : { to, from: caller.ip };
}

/** Over loopback nobody can be seen as the caller: the header says who it is. */
function dialOf(target: Target, caller: IpPort): ReturnType<typeof asSeenBy> {
  const at = dialledAt(target);
  return target.announced === undefined ? asSeenBy(at, caller) : { to: at };
}

/** The source's identity, as ambient proxies tell it in the PROXY protocol. */
const TLV_SOURCE_IDENTITY = 0xd0;

function announce(destination: IpPort, { remote, peer }: TunnelRequest): Buffer {
  const value = Buffer.from(formatIdentity(peer));
  const tlvs = [{ type: TLV_SOURCE_IDENTITY, value }];
  return encodeProxyHeader({ source: remote, destination, tlvs });
}

function classifyRequest(pod: LocalPod, request: TunnelRequest, snapshot: Snapshot): Target {
  const { method, authority, local } = request;
  if (method !== 'CONNECT') {
    throw new MeshError('MALFORMED_REQUEST', `Cannot serve ${method}: a tunnel takes CONNECT only`);
  }
  const asked = authorityOf(authority);
  const workload = snapshot.workloadByUid(pod.enrolment.workloadUid);
  if (workload === undefined) {
    throw new MeshError(
      'DESTINATION_UNKNOWN',
      `Cannot serve ${authority}: workload ${pod.enrolment.workloadUid} is not known yet`,
    );
  }
  return targetOf({ authority: asked, local }, workload, snapshot);
}

function authorityOf(text = ''): Authority {
  const authority = readAuthority(text);
  if (authority !== undefined) return authority;
  throw new MeshError(
    'MALFORMED_REQUEST',
    `Cannot serve "${text.slice(0, 100)}": expected host:port`,
  );
}

/** For telemetry only: nothing here decides. */
function describe(
  { peer, remote, fields }: TunnelRequest,
  { workload, to, service }: Target,
  steps: InboundSteps,
): {
  sourceWorkload: DescribedWorkload | undefined;
  destinationWorkload: Workload;
  service: Service | undefined;
} {
  const snapshot = steps.snapshot();
  // the same address may be somebody else's on the caller's network
  const source = isFromAbroad(fields, workload.network)
    ? undefined
    : snapshot.workloadByIp(workload.network, remote.ip);
  const proven = source !== undefined && sameIdentity(workloadIdentity(source), peer);
  const hostname = addressedService(fields);
  const named =
    hostname === undefined ? undefined : snapshot.serviceByHostname(hostname, workload.namespace);
  return {
    sourceWorkload: proven ? source : describedBy(fields, peer),
    destinationWorkload: workload,
    service: service ?? named ?? serviceOfPort(workload, to.port, snapshot),
  };
}

export function serviceOfPort(
  workload: Workload,
  port: number,
  snapshot: Snapshot,
): Service | undefined {
  for (const [key, mappings] of workload.services) {
    if (mappings.some(({ targetPort }) => targetPort === port)) return snapshot.serviceByKey(key);
  }
  return undefined;
}
