// One agent's WebSocket: frames in and out of its Session. A slow agent costs names in a set, never buffered messages:
// the next response is made only when the last one has left. Called by serve.ts for each accepted agent.

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

export type AgentIdentity = {
  readonly node: string;
  readonly pod: string;
  /** As the agent said at connecting: `<component>/<version>`. */
  readonly userAgent: string;
};

export type ConnectionParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: Store;
  readonly socket: WebSocket;
  readonly onReport: (agent: AgentIdentity, report: EnrolmentReport) => void;
  /** The agent said something new of its trust. */
  readonly onTrust: () => void;
  /** The agent answered: what it has may have become more. */
  readonly onProgress: () => void;
  readonly counters: PushCounters;
};

export type PushCounters = {
  sent(typeUrl: string, resources: number): void;
  acked(typeUrl: string): void;
  nacked(typeUrl: string): void;
};

export type AgentConnection = {
  readonly agent: AgentIdentity;
  readonly session: Session;
  /** What it last said of its trust; undefined before it did. */
  trust(): TrustReport | undefined;
  /** Says goodbye; the agent comes back by itself, here or to another replica. */
  close(reason: string): void;
  readonly closed: Promise<void>;
};

// Pings find an agent that has gone without a word within two of them.
const PING_MS = 15_000;
// What may wait in the socket before the next response is made: two full responses.
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;
// Tokens are not looked at again on an open connection, and replicas that were added get their share: the reference's
// control plane also says goodbye every half hour.
const MAX_AGE_MS = 30 * 60_000;
// An agent that does not close within this is cut off.
const CLOSE_MS = 2000;

export function serveAgent(parts: ConnectionParts, agent: AgentIdentity): AgentConnection {
  const { clock, store, socket, counters } = parts;
  const log = parts.log.child({ node: agent.node, agent: agent.pod });
  const session = new Session({ publication: store.current }, { node: agent.node });
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
        log.debug('Agent subscribed', { typeUrl: receipt.typeUrl, resumed: receipt.resumed });
        break;
      case 'ack':
        counters.acked(receipt.typeUrl);
        break;
      case 'nack':
        counters.nacked(receipt.typeUrl);
        log.error('The agent refused resources', {
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
      log.warn('Cannot read a message of the agent: closing, it will connect again', { error });
      close(1007, 'Cannot read the message');
      return;
    }
    if (frame.kind === 'report') parts.onReport(agent, frame.report);
    else if (frame.kind === 'trust-report') {
      trust = frame.report;
      parts.onTrust();
    } else receive(frame.request);
  });
  socket.on('error', (error) => log.warn('The connection of an agent failed', { error }));

  let answered = true;
  socket.on('pong', () => {
    answered = true;
  });
  const ping = (): void => {
    if (!answered) {
      log.warn('The agent does not answer: cutting the connection', { silentMs: PING_MS });
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
    agent,
    session,
    trust: () => trust,
    close: (reason) => close(1001, reason),
    closed: closed.promise,
  };
}
