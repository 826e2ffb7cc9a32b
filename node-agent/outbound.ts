// A captured connection leaves its pod. The whole journey is carry(), in the words of the data path:
// accept, classify, authorize, pick endpoint, tunnel, splice. Called by journeys.ts for each connection to port 15001.

import { formatIpPort, type IpAddress } from '../mesh/address.ts';
import { LEFT_TO_DESTINATION } from '../mesh/authorize.ts';
import type { Balance } from '../mesh/balance.ts';
import { classify } from '../mesh/classify.ts';
import { FAILURES, MeshError } from '../mesh/failures.ts';
import type { Intent } from '../mesh/intent.ts';
import { type GatewayHop, type Hop, hopTo, nextHop, type TunnelHop } from '../mesh/next-hop.ts';
import { admit, type Permit } from '../mesh/permit.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import { type Workload, workloadIdentity } from '../mesh/workload.ts';
import { type Leg, splice } from '../tunnel/splice.ts';
import { type ConnectHead, type TunnelStream, UnprocessedError } from '../tunnel/tunnel.ts';
import type { Affinity } from './affinity.ts';
import type { Captured } from './capture/capture.ts';
import { connectHead, describedBy, headInside } from './connect-head.ts';
import type { Connections, Registered } from './connections.ts';
import { socketLeg } from './leg.ts';
import type { LocalPod } from './local-pod.ts';
import type { Trail, Trails } from './trail.ts';

/**
 * Endpoints one connection is tried at, while the application's bytes have not gone anywhere: a second try saves those
 * that met a pod just gone, a third would only make a real outage slower to tell.
 */
const MAX_ENDPOINTS = 2;

/** What the journey needs of the agent; app.ts gives the real ones, tests small functions. */
export type OutboundSteps = {
  readonly trails: Trails;
  readonly connections: Connections;
  readonly load: EndpointLoad;
  readonly affinity: Affinity;
  readonly random: () => number;
  /** The pod's own workload and the snapshot that knows it. @throws MeshError SOURCE_UNKNOWN after a wait */
  readonly source: (pod: LocalPod) => Promise<{ source: Workload; snapshot: Snapshot }>;
  readonly openTunnel: (
    pod: LocalPod,
    hop: TunnelHop,
    head: ConnectHead,
    signal: AbortSignal,
  ) => Promise<TunnelStream>;
  readonly openThrough: (
    pod: LocalPod,
    hop: GatewayHop,
    heads: { readonly outer: ConnectHead; readonly inner: ConnectHead },
    signal: AbortSignal,
  ) => Promise<TunnelStream>;
  /** An address of an endpoint that has a name only. @throws MeshError NAME_UNRESOLVED */
  readonly lookup: (hostname: string, like: IpAddress, signal: AbortSignal) => Promise<IpAddress>;
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
    const permit = admit(intent, LEFT_TO_DESTINATION);
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
    load: ({ uid }) => steps.load.of(uid),
    kept: (service, port) => steps.affinity.of(source, service, port),
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
      const reached = await openWay(hop, asked);
      if (permit.kind === 'service' && hop.workload !== undefined) {
        steps.affinity.note(source, permit.service, permit.port, hop.workload.uid);
      }
      return reached;
    } catch (error) {
      if (!(error instanceof MeshError) || hop.workload === undefined) throw error;
      if (!mayTryAnother(error, permit)) throw error;
      failure = error;
      exclude.add(hop.workload.uid);
      const tied = permit.kind === 'workload' || permit.kind === 'passthrough';
      if (tied || exclude.size === MAX_ENDPOINTS) throw error;
    }
  }
}

/** A replica of a waypoint that goes away while it is asked has asked nobody: that comes after its answer. */
function mayTryAnother(error: MeshError, { kind }: Permit<Intent>): boolean {
  if (FAILURES[error.code].retry || error instanceof UnprocessedError) return true;
  return kind === 'waypoint' && (error.code === 'TUNNEL_LOST' || error.code === 'TLS_FAILURE');
}

async function openWay(hop: Hop, asked: Asked): Promise<Reached> {
  const { trail, registered, steps } = asked;
  const release = steps.load.add(hop.workload?.uid);
  try {
    trail.learn({ destinationWorkload: hop.workload, service: hop.service });
    return reached(await openLeg(hop, asked, registered.signal), release);
  } catch (error) {
    release();
    throw error;
  }
}

async function openLeg(hop: Hop, asked: Asked, signal: AbortSignal): Promise<Leg & Ended> {
  const { pod, captured, source, trail, steps } = asked;
  switch (hop.via) {
    case 'lookup': {
      const ip = await steps.lookup(hop.hostname, captured.destination.ip, signal);
      return openLeg(hopTo(hop.workload, { ip, port: hop.port }, hop.service), asked, signal);
    }
    case 'tcp':
      trail.learn({ destination: hop.to, sourceIdentity: undefined, authority: undefined });
      return socketLeg(await pod.dial({ to: hop.to }, signal));
    case 'tunnel': {
      trail.learn({ destination: hop.to, authority: hop.authority });
      const head = connectHead(hop, source, captured.source, trail.traceparent);
      const stream = await steps.openTunnel(pod, hop, head, signal);
      trail.learn({
        sourceIdentity: workloadIdentity(source),
        destinationIdentity: stream.peer,
      });
      return stream;
    }
    case 'gateway': {
      trail.learn({ destination: hop.to, authority: hop.authority });
      const head = connectHead(hop, source, captured.source, trail.traceparent);
      const heads = { outer: head, inner: headInside(head, source) };
      const stream = await steps.openThrough(pod, hop, heads, signal);
      trail.learn({
        sourceIdentity: workloadIdentity(source),
        destinationIdentity: stream.peer,
        // the gateway chose: only whoever answered can say who it is
        destinationWorkload: describedBy(stream.fields, stream.peer) ?? hop.workload,
      });
      return stream;
    }
  }
}

/** Why a tunnel's stream ended, when that was the tunnel's doing; a socket has no such thing. */
type Ended = { readonly lost?: MeshError | undefined };

function reached(leg: Leg & Ended, release: () => void): Reached {
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
