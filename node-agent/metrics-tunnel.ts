// The agent's metrics for scrapers that prove who they are: a tunnel door on the node, under the agent's own identity, that
// leads to the metrics port and nowhere else. Opened by app.ts where it is wanted. Invariants: who comes is judged by the
// policies of the agent's own pod as at any pod's door, and while that pod is not known nobody is let in.

import { parseIp } from '../mesh/address.ts';
import { CAPTURE_EVERYTHING } from '../mesh/capture-options.ts';
import type { Enrolment } from '../mesh/enrolment.ts';
import { MeshError } from '../mesh/failures.ts';
import type { Identity } from '../mesh/identity.ts';
import type { Door } from '../runtime/admin.ts';
import type { Clock } from '../runtime/clock.ts';
import { TunnelAcceptor } from '../tunnel/accept.ts';
import type { Certificates } from '../tunnel/certificates/certificates.ts';
import type { Credentials } from '../tunnel/contexts.ts';
import type { HandshakeGate } from '../tunnel/handshake-gate.ts';
import { type DialTarget, dial } from '../tunnel/socket.ts';
import { type Listener, listen } from './capture/listener.ts';
import type { Journeys, LocalPod } from './local-pod.ts';

export type MetricsTunnelSettings = {
  readonly door: Door;
  /** The agent's own: what the CA gives it for its own token. */
  readonly identity: Identity;
  /** The agent's own pod, as the mesh knows it. */
  readonly workloadUid: string;
  readonly podName: string;
};

type Parts = {
  readonly clock: Clock;
  readonly certificates: Certificates;
  readonly journeys: Pick<Journeys, 'inbound' | 'denied' | 'lost'>;
  readonly handshakes: HandshakeGate;
};

export type MetricsTunnel = {
  /** Takes no new connection and no new stream; resolves with the end of the last one. */
  drain(): Promise<void>;
  close(): Promise<void>;
};

/** No pod has it: it stands for the agent's own among the connections. */
const POD_UID = 'node-agent';
const LOOPBACK = parseIp('127.0.0.1');

/** Whom the connections of this door belong to. */
export function ownEnrolment(settings: MetricsTunnelSettings): Enrolment {
  return {
    podUid: POD_UID,
    workloadUid: settings.workloadUid,
    name: settings.podName,
    namespace: settings.identity.namespace,
    identity: settings.identity,
    addresses: [],
    capture: CAPTURE_EVERYTHING,
  };
}

/** `metricsPort` is where the metrics are served. @throws Error naming the address that is taken */
export async function openMetricsTunnel(
  parts: Parts,
  settings: MetricsTunnelSettings,
  metricsPort: number,
): Promise<MetricsTunnel> {
  const { clock, certificates, journeys } = parts;
  const { door } = settings;
  const claim = certificates.claim(settings.identity);
  const self: LocalPod = {
    enrolment: ownEnrolment(settings),
    async dial({ to }: DialTarget, signal) {
      if (to.port !== metricsPort) {
        throw new MeshError(
          'DESTINATION_UNKNOWN',
          `Cannot serve port ${to.port} of the node: only its agent's metrics are reached here, at port ${metricsPort}`,
        );
      }
      // over loopback, whatever address the metrics door has: it does not ask who calls
      return dial({ clock }, { to: { ip: LOOPBACK, port: metricsPort } }, signal);
    },
    udp() {
      throw new Error('The agent asks no DNS as a pod: its metrics door has nothing to resolve');
    },
    credentials: () => claim.current(),
  };
  let acceptor: TunnelAcceptor | undefined;
  const use = (credentials: Credentials): void => {
    acceptor?.replace(credentials);
    acceptor ??= new TunnelAcceptor({
      clock,
      credentials,
      gate: parts.handshakes,
      onRequest: (request) => journeys.inbound(self, request),
      onDenied: (denied) => journeys.denied(self, denied),
      onLost: (lost) => journeys.lost?.(self, lost),
    });
  };
  claim.onRenewed(use);
  let listener: Listener;
  try {
    listener = await listen({ host: door.host, port: door.port }, (socket) => {
      // without a certificate there is nobody to talk to
      if (acceptor === undefined) socket.resetAndDestroy();
      else acceptor.take(socket);
    });
  } catch (cause) {
    claim.release();
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(
      `Cannot open the metrics tunnel at ${door.host}:${door.port}: ${why}; end what holds the port, or set another one`,
      { cause },
    );
  }
  return {
    async drain() {
      await listener.close();
      await acceptor?.drain();
    },
    async close() {
      await listener.close();
      await acceptor?.close();
      claim.release();
    },
  };
}
