// A captured connection leaves its pod. The whole journey is carry(), in the words of the data path:
// accept, classify, authorize, pick endpoint, tunnel, splice. Called by app.ts for each connection to port 15001.

import { formatIpPort, type IpPort, isLoopback } from '../mesh/address.ts';
import { type Decision, LEFT_TO_DESTINATION } from '../mesh/authorize.ts';
import type { Balance } from '../mesh/balance.ts';
import { classify } from '../mesh/classify.ts';
import { FAILURES, MeshError } from '../mesh/failures.ts';
import type { Intent } from '../mesh/intent.ts';
import { admit, type Permit } from '../mesh/permit.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import { type Workload, workloadIdentity } from '../mesh/workload.ts';
import { type Leg, splice } from '../tunnel/splice.ts';
import type { ConnectHead, TunnelStream } from '../tunnel/tunnel.ts';
import { type Captured, OWN_PORTS } from './capture/capture.ts';
import { connectHead } from './connect-head.ts';
import type { Connections, Registered } from './connections.ts';
import { type Hop, nextHop } from './hop.ts';
import { socketLeg } from './leg.ts';
import type { LocalPod } from './local-pod.ts';
import type { Trail, Trails } from './trail.ts';

/** Endpoints one connection is tried at; only while the application's bytes have not gone anywhere. */
const MAX_ENDPOINTS = 3;

/** What the journey needs of the agent; app.ts gives the real ones, tests small functions. */
export type OutboundSteps = {
  readonly trails: Trails;
  readonly connections: Connections;
  readonly load: EndpointLoad;
  readonly random: () => number;
  /** The pod's own workload and the snapshot that knows it. @throws MeshError SOURCE_UNKNOWN after a wait */
  readonly source: (pod: LocalPod) => Promise<{ source: Workload; snapshot: Snapshot }>;
  readonly openTunnel: (
    pod: LocalPod,
    hop: Hop & { via: 'tunnel' },
    head: ConnectHead,
    signal: AbortSignal,
  ) => Promise<TunnelStream>;
};

export async function carry(
  pod: LocalPod,
  captured: Captured,
  steps: OutboundSteps,
): Promise<void> {
  const { socket, source: from, destination } = captured;
  const trail = steps.trails.begin({ direction: 'outbound', source: from, destination });
  try {
    using registered = steps.connections.register({
      direction: 'outbound',
      podUid: pod.enrolment.podUid,
      trail,
      description: { src: formatIpPort(from), originalDst: formatIpPort(destination) },
    });
    const { source, snapshot } = await steps.source(pod);
    trail.learn({ sourceWorkload: source });
    const intent = classify(source, destination, snapshot);
    const permit = admit(intent, authorizeLeaving(pod, destination));
    await using upstream = await reach(permit, {
      pod,
      captured,
      source,
      snapshot,
      trail,
      registered,
      steps,
    });
    trail.established();
    const end = await splice(socketLeg(socket), upstream.leg, trail.counts, registered.signal);
    if (end === 'aborted') throw registered.signal.reason;
    trail.end(upstream.lost());
  } catch (error) {
    trail.end(error);
    // the application's connect has long succeeded: a reset is the nearest to "refused" it can still be told
    socket.resetAndDestroy();
  }
}

/** Policy is the destination's business; what must not leave is what would come back to us. */
function authorizeLeaving(pod: LocalPod, destination: IpPort): Decision {
  const own = isLoopback(destination.ip) || pod.enrolment.addresses.includes(destination.ip);
  if (own && OWN_PORTS.has(destination.port)) {
    throw new MeshError(
      'RECURSION',
      `Refused a connection to ${formatIpPort(destination)}: it would come back to the node agent`,
    );
  }
  return LEFT_TO_DESTINATION;
}

type Asked = {
  readonly pod: LocalPod;
  readonly captured: Captured;
  readonly source: Workload;
  readonly snapshot: Snapshot;
  readonly trail: Trail;
  readonly registered: Registered;
  readonly steps: OutboundSteps;
};

type Reached = AsyncDisposable & { readonly leg: Leg; readonly lost: () => MeshError | undefined };

/** Picks an endpoint and opens the way to it; one that cannot be reached is left out and another picked. */
async function reach(permit: Permit<Intent>, asked: Asked): Promise<Reached> {
  const { source, snapshot, steps } = asked;
  const exclude = new Set<string>();
  const balance: Balance = {
    random: steps.random,
    load: (endpoint) => steps.load.of(endpoint.workload.uid),
    exclude,
  };
  for (let failure: MeshError | undefined; ; ) {
    let hop: Hop;
    try {
      hop = nextHop(permit, source, snapshot, balance);
    } catch (error) {
      // nothing is left to try: what the last one failed of says more
      throw failure ?? error;
    }
    try {
      return await openWay(hop, asked);
    } catch (error) {
      if (!(error instanceof MeshError) || !FAILURES[error.code].retry) throw error;
      if (hop.workload === undefined) throw error;
      failure = error;
      exclude.add(hop.workload.uid);
      const tied = permit.kind === 'workload' || permit.kind === 'passthrough';
      if (tied || exclude.size === MAX_ENDPOINTS) throw error;
    }
  }
}

async function openWay(hop: Hop, asked: Asked): Promise<Reached> {
  const { pod, captured, source, trail, registered, steps } = asked;
  const { signal } = registered;
  const release = steps.load.add(hop.workload?.uid);
  try {
    trail.learn({ destinationWorkload: hop.workload, service: hop.service });
    if (hop.via === 'tcp') {
      trail.learn({ destination: hop.to, sourceIdentity: undefined, authority: undefined });
      const leg = socketLeg(await pod.dial({ to: hop.to }, signal));
      return reached(leg, release);
    }
    trail.learn({ destination: hop.to, authority: hop.authority });
    const stream = await steps.openTunnel(
      pod,
      hop,
      connectHead(hop, source, captured.source),
      signal,
    );
    trail.learn({
      sourceIdentity: workloadIdentity(source),
      destinationIdentity: stream.peer,
    });
    return reached(stream, release);
  } catch (error) {
    release();
    throw error;
  }
}

function reached(
  leg: Leg & { readonly lost?: MeshError | undefined },
  release: () => void,
): Reached {
  return {
    leg,
    lost: () => leg.lost,
    async [Symbol.asyncDispose]() {
      release();
      if (!leg.bytes.closed) leg.reset();
    },
  };
}

/** Connections in flight from this node, by workload: what the choice between two endpoints compares. */
export class EndpointLoad {
  readonly #counts = new Map<string, number>();

  of(uid: string): number {
    return this.#counts.get(uid) ?? 0;
  }

  /** Returns what takes it off again, once. */
  add(uid: string | undefined): () => void {
    if (uid === undefined) return () => {};
    this.#counts.set(uid, this.of(uid) + 1);
    let counted = true;
    return () => {
      if (!counted) return;
      counted = false;
      const left = this.of(uid) - 1;
      if (left > 0) this.#counts.set(uid, left);
      else this.#counts.delete(uid);
    };
  }
}
