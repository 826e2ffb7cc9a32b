// An ingress gateway's own side, put together: its ports, their certificates, and who takes their connections. Built by
// app.ts where the proxy is one; what happens to requests and bytes is the same as in a waypoint.

import type { Snapshot } from '../../mesh/snapshot.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import type { Readiness } from '../../runtime/readiness.ts';
import { HandshakeGate } from '../../tunnel/handshake-gate.ts';
import { acceptConnection, type ConnectionSteps, type RefusedReason } from './accept-connection.ts';
import { ListenerContexts } from './contexts.ts';
import { IngressPorts, type PortsSettings } from './ports.ts';

export type IngressSettings = PortsSettings & Pick<ConnectionSteps, 'trustedHops'>;

export type Ingress = Pick<IngressPorts, 'openAt' | 'settled' | 'drain' | 'close'> & {
  /** Serves what the Gateway's listeners are now. */
  take(snapshot: Snapshot): void;
  /** Discovery has told all there is: once the ports are open it is ready. */
  synced(): void;
};

export function startIngress(
  parts: Omit<ConnectionSteps, 'contexts' | 'gate' | 'trustedHops' | 'refused'> & {
    readonly readiness: Readiness;
    readonly metrics: Metrics;
  },
  settings: IngressSettings,
): Ingress {
  const { clock, log, readiness, metrics } = parts;
  const opened = readiness.blocker('ports of the gateway');
  const contexts = new ListenerContexts();
  const refusals = new Map<RefusedReason, number>();
  const steps: ConnectionSteps = {
    ...parts,
    contexts,
    gate: new HandshakeGate(),
    trustedHops: settings.trustedHops,
    refused: (reason) => refusals.set(reason, (refusals.get(reason) ?? 0) + 1),
  };
  const ports = new IngressPorts(
    { clock, log, accept: (socket, port) => void acceptConnection(socket, port, steps) },
    settings,
  );
  metrics.collectedGauge(
    {
      name: 'ambit_ingress_connections',
      help: 'Connections from outside that are open',
    },
    () => [{ labels: {}, value: ports.connections }],
  );
  metrics.collectedCounter(
    {
      name: 'ambit_ingress_connections_cut_total',
      help: 'Connections from outside that were cut because too many were open',
    },
    () => [{ labels: {}, value: ports.cut }],
  );
  metrics.collectedCounter(
    {
      name: 'ambit_ingress_connections_refused_total',
      help: 'Connections from outside that no listener came to have',
      labels: ['reason'],
    },
    () => [...refusals].map(([reason, value]) => ({ labels: { reason }, value })),
  );
  let before: unknown;
  return {
    openAt: ports.openAt.bind(ports),
    settled: ports.settled.bind(ports),
    drain: ports.drain.bind(ports),
    close: ports.close.bind(ports),
    take(snapshot) {
      const told = snapshot.listenersOf(settings.gateway);
      if (told === before) return;
      before = told;
      contexts.keepFor(told?.listeners ?? []);
      ports.apply(told);
    },
    synced() {
      void ports.settled().then(opened);
    },
  };
}
