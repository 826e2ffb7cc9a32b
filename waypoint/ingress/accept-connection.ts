// A client's connection comes to a port of an ingress gateway: TLS where the port has it, then requests or bytes. From
// there on its requests are serve.ts's, its bytes opaque.ts's. Called by ports.ts for each accepted socket. Invariant: no
// byte is answered before it is known whose listener answers.

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { type IpPort, parseIp } from '../../mesh/address.ts';
import { type GatewayListener, isTls } from '../../mesh/gateway-listeners.ts';
import { pickListener } from '../../mesh/pick-listener.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { HandshakeGate } from '../../tunnel/handshake-gate.ts';
import { ignoreError, keepSocketAlive } from '../../tunnel/socket.ts';
import type { Leg } from '../../tunnel/splice.ts';
import { detect, type Spoken } from '../http/detect.ts';
import type { Http1Server } from '../http/http1-server.ts';
import type { Http2Server } from '../http/http2-server.ts';
import { StreamSocket } from '../http/stream-socket.ts';
import type { AskedListener, Inbound } from '../inbound.ts';
import type { ConnectionTrace } from '../telemetry/request-spans.ts';
import { readClientName } from './client-name.ts';
import type { ListenerContexts } from './contexts.ts';

/** From the connection's beginning to the end of its TLS handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** RFC 8446 section 6: a fatal alert, unrecognized_name. */
const UNRECOGNIZED_NAME = Buffer.of(21, 3, 3, 0, 2, 2, 112);
const HTTP_PROTOCOLS = ['h2', 'http/1.1'];

/** A port of the gateway; `listeners` are those it has now. */
export type GatewayPort = {
  readonly gateway: string;
  readonly port: number;
  readonly listeners: () => readonly GatewayListener[];
};

export type ConnectionSteps = {
  /** Nobody outside says to which trace a connection belongs. */
  readonly connectionTrace: () => ConnectionTrace;
  readonly clock: Clock;
  readonly log: Log;
  readonly contexts: ListenerContexts;
  readonly gate: HandshakeGate;
  readonly trustedHops: number;
  readonly http1: Pick<Http1Server, 'take'>;
  readonly http2: Pick<Http2Server, 'take'>;
  readonly opaque: (leg: Leg, inbound: Inbound) => void;
  /** A connection came to nothing before it was anybody's. */
  readonly refused: (reason: RefusedReason) => void;
};

export type RefusedReason = 'no-listener' | 'handshake';

type Ends = { readonly remote: IpPort; readonly local: IpPort };

export async function acceptConnection(
  socket: Socket,
  port: GatewayPort,
  steps: ConnectionSteps,
): Promise<void> {
  socket.on('error', ignoreError);
  socket.setNoDelay(true);
  keepSocketAlive(socket);
  const ends = endsOf(socket);
  const [first] = port.listeners();
  if (ends === undefined || first === undefined) {
    socket.destroy();
    return;
  }
  try {
    // listeners that share a port are all of one sort: the control plane refuses others
    if (isTls(first.serves)) await acceptTls(socket, port, ends, steps);
    else {
      const inbound = inboundOf(port, ends, undefined, steps);
      if (first.serves.kind === 'tcp') steps.opaque(legOf(socket), inbound);
      else takeRequests(await detect(steps, socket), legOf(socket), inbound, steps);
    }
  } catch (error) {
    steps.refused('handshake');
    // whoever is outside can make any number of them
    const { gateway, port: number } = port;
    steps.log.debug('Refused a connection', { gateway, port: number, from: ends.remote.ip, error });
    if (!socket.destroyed) reset(socket);
  }
}

async function acceptTls(
  socket: Socket,
  port: GatewayPort,
  ends: Ends,
  steps: ConnectionSteps,
): Promise<void> {
  /** What ends the connection: the TLS on the socket, once there is one. */
  let top: Socket = socket;
  const late = steps.clock.timer(HANDSHAKE_TIMEOUT_MS, () => reset(top));
  try {
    const asked = await readClientName(socket);
    if (asked.kind === 'none') throw new Error(asked.why);
    const listener = pickListener(port.listeners(), asked.name);
    if (listener === undefined) {
      steps.refused('no-listener');
      socket.end(UNRECOGNIZED_NAME, () => socket.destroy());
      return;
    }
    const { serves } = listener;
    const passthrough = serves.kind === 'passthrough';
    const inbound = inboundOf(port, ends, { serverName: asked.name, passthrough }, steps);
    if (!('certificates' in serves)) {
      steps.opaque(legOf(socket), inbound);
      return;
    }
    const requests = serves.kind === 'https';
    const secured = await handshake(socket, steps.gate, () => {
      const made = new TLSSocket(socket, {
        isServer: true,
        secureContext: steps.contexts.contextFor(serves.certificates),
        requestCert: false,
        ...(requests ? { ALPNProtocols: HTTP_PROTOCOLS } : {}),
      });
      top = made;
      return made;
    });
    const leg = legOf(secured);
    if (!requests) steps.opaque(leg, inbound);
    else takeRequests(await spokenIn(secured, steps), leg, inbound, steps);
  } finally {
    late.cancel();
  }
}

/** @throws Error when the client does not finish it, or too many are under way */
async function handshake(
  socket: Socket,
  gate: HandshakeGate,
  begin: () => TLSSocket,
): Promise<TLSSocket> {
  const turn = Promise.withResolvers<void>();
  const leave = gate.enter(turn.resolve);
  if (leave === undefined) throw new Error(`${gate.inside} handshakes are under way`);
  const cut = new AbortController();
  const onClose = (): void => cut.abort(new Error('The handshake was cut'));
  socket.once('close', onClose);
  let secured: TLSSocket | undefined;
  try {
    await turn.promise;
    if (socket.destroyed) throw new Error('The handshake was cut');
    secured = begin();
    secured.on('error', ignoreError);
    // a half is kept open for applications only
    secured.once('end', onClose);
    await once(secured, 'secure', { signal: cut.signal });
    secured.off('end', onClose);
    return secured;
  } catch (error) {
    secured?.destroy();
    throw error;
  } finally {
    socket.off('close', onClose);
    leave();
  }
}

/** As agreed upon in the handshake; a client that says nothing there is seen by its first bytes. */
async function spokenIn(secured: TLSSocket, steps: ConnectionSteps): Promise<Spoken> {
  if (secured.alpnProtocol === 'h2') return 'http2';
  return secured.alpnProtocol === 'http/1.1' ? 'http1' : detect(steps, secured);
}

function takeRequests(
  spoken: Spoken,
  leg: Leg,
  inbound: Inbound,
  { http1, http2 }: ConnectionSteps,
): void {
  // it has gone while it was looked at: nobody waits for an answer
  if (leg.bytes.destroyed || leg.bytes.readableEnded) {
    leg.reset();
    return;
  }
  const stream = new StreamSocket(leg, inbound.remote);
  // what is no request is for HTTP/1 to refuse, in words of HTTP
  if (spoken === 'http2') http2.take(stream, inbound);
  else http1.take(stream, inbound);
}

function inboundOf(
  { gateway, port, listeners }: GatewayPort,
  { remote, local }: Ends,
  tls: (Pick<AskedListener, 'passthrough'> & { readonly serverName: string }) | undefined,
  { trustedHops, connectionTrace }: ConnectionSteps,
): Inbound {
  return {
    // whoever is outside has no identity here, whatever network it comes from
    source: { identity: undefined, ip: remote.ip },
    sourceWorkload: undefined,
    remote,
    authority: { kind: 'address', ...local },
    asked: {
      kind: 'listener',
      gateway,
      port,
      listeners,
      scheme: tls === undefined ? 'http' : 'https',
      serverName: tls?.serverName,
      passthrough: tls?.passthrough ?? false,
      trustedHops,
    },
    trace: connectionTrace(),
  };
}

function legOf(bytes: Socket): Leg {
  return { bytes, reset: () => reset(bytes) };
}

function reset(socket: Socket): void {
  // of TLS the missing goodbye is the break: to reset the socket under it leaves Node with a handle that is gone.
  // While a socket's own end is under way the kernel takes no reset, and Node would keep the descriptor
  if (socket instanceof TLSSocket || socket.writableEnded) socket.destroy();
  else if (!socket.destroyed) socket.resetAndDestroy();
}

function endsOf(socket: Socket): Ends | undefined {
  const remote = ipPort(socket.remoteAddress, socket.remotePort);
  const local = ipPort(socket.localAddress, socket.localPort);
  return remote === undefined || local === undefined ? undefined : { remote, local };
}

/** undefined: the socket is closed already. */
function ipPort(address: string | undefined, port: number | undefined): IpPort | undefined {
  if (address === undefined || port === undefined) return undefined;
  // a link-local client comes with its zone
  return { ip: parseIp(address.replace(/%.*$/, '')), port };
}
