// One proxy's WebSocket: frames in and out of its Session. A slow proxy costs names in a set, never buffered messages:
// the next response is made only when the last one has left. Called by serve.ts for each accepted agent or waypoint.

import type { WebSocket } from 'ws';
import type { EnrolmentReport } from '../../mesh/enrolment.ts';
import type { TrustReport } from '../../mesh/trust.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import {
  type ClientFrame,
  type DeltaRequest,
  decodeClientFrame,
  encodeServerFrame,
} from '../../wire/discovery.ts';
import type { Store } from '../store.ts';
import { Session } from './session.ts';

/** Who connected, by its token. */
export type AdmittedAgent = { readonly kind: 'agent'; readonly node: string; readonly pod: string };
export type AdmittedWaypoint = {
  readonly kind: 'waypoint';
  readonly namespace: string;
  /** Name of the Gateway it was deployed for. */
  readonly gateway: string;
  readonly pod: string;
};

/** As it said at connecting: `<component>/<version>`. */
type Introduced = { readonly userAgent: string };
export type AgentIdentity = AdmittedAgent & Introduced;
export type WaypointIdentity = AdmittedWaypoint & Introduced;
export type ProxyIdentity = AgentIdentity | WaypointIdentity;

export type ConnectionParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: Store;
  readonly socket: WebSocket;
  readonly onReport: (agent: AgentIdentity, report: EnrolmentReport) => void;
  /** The proxy said something new of its trust. */
  readonly onTrust: () => void;
  /** The proxy answered: what it has may have become more. */
  readonly onProgress: () => void;
  readonly counters: PushCounters;
};

export type PushCounters = {
  sent(typeUrl: string, resources: number): void;
  acked(typeUrl: string): void;
  nacked(typeUrl: string): void;
};

export type ProxyConnection = {
  readonly proxy: ProxyIdentity;
  readonly session: Session;
  /** What it last said of its trust; undefined before it did. */
  trust(): TrustReport | undefined;
  /** Says goodbye; the proxy comes back by itself, here or to another replica. */
  close(reason: string): void;
  readonly closed: Promise<void>;
};

// Pings find a proxy that has gone without a word within two of them.
const PING_MS = 15_000;
// What may wait in the socket before the next response is made: two full responses.
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;
// Tokens are not looked at again on an open connection, and replicas that were added get their share: the reference's
// control plane also says goodbye every half hour.
const MAX_AGE_MS = 30 * 60_000;
// A proxy that does not close within this is cut off.
const CLOSE_MS = 2000;

export function serveProxy(parts: ConnectionParts, proxy: ProxyIdentity): ProxyConnection {
  const { clock, store, socket, counters } = parts;
  const log = parts.log.child(namesOf(proxy));
  // a waypoint has no pods to enrol
  const node = proxy.kind === 'agent' ? proxy.node : undefined;
  const gateway = proxy.kind === 'waypoint' ? `${proxy.namespace}/${proxy.gateway}` : undefined;
  const session = new Session({ publication: store.current }, { node, gateway });
  const closed = Promise.withResolvers<void>();
  const timers: Timer[] = [];
  let trust: TrustReport | undefined;

  const close = (code: number, reason: string): void => {
    socket.close(code, reason.slice(0, 120));
    timers.push(clock.timer(CLOSE_MS, () => socket.terminate()));
  };

  const pump = (): void => {
    while (socket.readyState === socket.OPEN && socket.bufferedAmount < MAX_BUFFERED_BYTES) {
      const response = session.next();
      if (response === undefined) return;
      counters.sent(response.typeUrl, response.resources.length);
      log.debug('Sending discovery resources', {
        typeUrl: response.typeUrl,
        version: response.systemVersion,
        resources: response.resources.length,
        removed: response.removed.length,
      });
      socket.send(encodeServerFrame({ kind: 'discovery', response }), pump);
    }
  };

  const receive = (request: DeltaRequest): void => {
    const receipt = session.receive(request);
    switch (receipt.kind) {
      case 'subscribed':
        log.debug('Proxy subscribed', { typeUrl: receipt.typeUrl, resumed: receipt.resumed });
        break;
      case 'ack':
        counters.acked(receipt.typeUrl);
        break;
      case 'nack':
        counters.nacked(receipt.typeUrl);
        log.error('The proxy refused resources', {
          typeUrl: receipt.typeUrl,
          why: receipt.message,
        });
        break;
      case 'ignored':
        log.warn('Ignored a discovery request', {
          reason: receipt.reason,
          ...(request.error === undefined ? {} : { why: request.error.message }),
        });
        break;
    }
    pump();
    parts.onProgress();
  };

  socket.on('message', (data) => {
    let frame: ClientFrame;
    try {
      frame = decodeClientFrame(data as Buffer);
    } catch (error) {
      log.warn('Cannot read a message of the proxy: closing, it will connect again', { error });
      close(1007, 'Cannot read the message');
      return;
    }
    if (frame.kind === 'report') {
      if (proxy.kind === 'agent') parts.onReport(proxy, frame.report);
      else log.warn('Ignored an enrolment report: a waypoint has no pods of its own');
    } else if (frame.kind === 'trust-report') {
      trust = frame.report;
      parts.onTrust();
    } else receive(frame.request);
  });
  socket.on('error', (error) => log.warn('The connection of a proxy failed', { error }));

  let answered = true;
  socket.on('pong', () => {
    answered = true;
  });
  const ping = (): void => {
    if (!answered) {
      log.warn('The proxy does not answer: cutting the connection', { silentMs: PING_MS });
      socket.terminate();
      return;
    }
    answered = false;
    socket.ping();
    timers[0] = clock.timer(PING_MS, ping);
  };
  // spread over a tenth, so that agents that came together do not leave together
  const age = MAX_AGE_MS * (0.9 + 0.1 * Math.random());
  timers.push(
    clock.timer(PING_MS, ping),
    clock.timer(age, () => close(1001, 'Connect anew')),
  );

  const unsubscribe = store.subscribe((publication) => {
    session.publish(publication);
    pump();
  });
  socket.once('close', () => {
    unsubscribe();
    for (const timer of timers) timer.cancel();
    closed.resolve();
  });
  return {
    proxy,
    session,
    trust: () => trust,
    close: (reason) => close(1001, reason),
    closed: closed.promise,
  };
}

/** For the log. */
export function namesOf(proxy: ProxyIdentity): Record<string, string> {
  return proxy.kind === 'agent'
    ? { node: proxy.node, agent: proxy.pod }
    : { waypoint: `${proxy.namespace}/${proxy.gateway}`, pod: proxy.pod };
}
