// An ingress gateway in this process for tests: the waypoint's rig with ports of its own, listeners in few words, and
// clients that connect to them from outside. Called by the tests of this folder.

import { once } from 'node:events';
import { Agent, type RequestOptions, request } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { GatewayListener, Serving } from '../../mesh/gateway-listeners.ts';
import type { RouteParent } from '../../mesh/route.ts';
import { SecretText } from '../../mesh/secret-text.ts';
import type { Service } from '../../mesh/service.ts';
import { type Authority, createAuthority } from '../../sandbox/apiserver/auth/certificates.ts';
import { ignoreError } from '../../tunnel/socket.ts';
import { type Answer, answerOf, httpRoute, Rig } from '../test-rig.ts';

const GATEWAY = 'shop/edge';

export class TestIngress {
  readonly rig: Rig;
  readonly authority: Authority;
  readonly #open = new Set<{ destroy(): void }>();

  private constructor(rig: Rig, authority: Authority) {
    this.rig = rig;
    this.authority = authority;
  }

  static async open(
    settings: { readonly trustedHops?: number; readonly drainNoticeMs?: number } = {},
  ): Promise<TestIngress> {
    const { trustedHops = 0, drainNoticeMs = 0 } = settings;
    const rig = await Rig.open({
      gateway: GATEWAY,
      drainNoticeMs,
      ingress: { gateway: GATEWAY, host: '127.0.0.1', trustedHops, openedAs: () => 0 },
    });
    return new TestIngress(rig, await createAuthority(Date.now()));
  }

  /** What the Gateway listens on from now on. */
  async listen(...listeners: readonly GatewayListener[]): Promise<void> {
    this.rig.discovery.push({ kind: 'listeners', listeners: { gateway: GATEWAY, listeners } });
    await this.rig.ingress.settled();
  }

  async certified(kind: 'https' | 'tls', ...hosts: readonly string[]): Promise<Serving> {
    const { certPem, keyPem } = await this.authority.issue({ commonName: 'edge', hosts });
    return { kind, certificates: [{ chainPem: certPem, keyPem: new SecretText(keyPem) }] };
  }

  /** An HTTPRoute to one service for requests by these listeners. */
  route(name: string, to: Service, ...parents: readonly RouteParent[]): void {
    this.rig.discovery.push(httpRoute(to, name, [{ to }], { parents }));
  }

  /** A TCPRoute or TLSRoute. */
  streamRoute(kind: 'tcp' | 'tls', to: Service, ...parents: readonly RouteParent[]): void {
    this.rig.discovery.push(httpRoute(to, kind, [{ to }], { kind, parents }));
  }

  async socket(port: number): Promise<Socket> {
    const socket = this.dial(port);
    await once(socket, 'connect');
    return socket;
  }

  /** A connection that is being opened, and may come to be cut. */
  dial(port: number): Socket {
    const socket = connect({ port: this.#at(port), host: '127.0.0.1' });
    socket.on('error', ignoreError);
    return this.#adopt(socket);
  }

  /** @throws when the handshake fails */
  async secured(
    port: number,
    servername: string,
    protocols?: readonly string[],
    session?: Buffer,
  ): Promise<TLSSocket> {
    const socket = connectTls({
      port: this.#at(port),
      host: '127.0.0.1',
      servername,
      ca: this.authority.caPem,
      ...(session === undefined ? {} : { session }),
      ...(protocols === undefined ? {} : { ALPNProtocols: [...protocols] }),
    });
    await once(socket, 'secureConnect');
    socket.on('error', ignoreError);
    return this.#adopt(socket);
  }

  /** One request on a connection of its own. */
  ask(port: number, host: string, options: RequestOptions = {}): Promise<Answer> {
    return ask(host, { host: '127.0.0.1', port: this.#at(port), agent: false, ...options });
  }

  session(over: Socket, scheme: 'http' | 'https'): ClientHttp2Session {
    const session = connectHttp2(`${scheme}://edge`, { createConnection: () => over });
    session.on('error', ignoreError);
    this.#adopt(session);
    return session;
  }

  async close(): Promise<void> {
    for (const one of this.#open) one.destroy();
    await this.rig.close();
  }

  #at(port: number): number {
    const at = this.rig.ingress.openAt(port);
    if (at === undefined) throw new Error(`Port ${port} of the gateway is not open`);
    return at;
  }

  #adopt<T extends { destroy(): void }>(one: T): T {
    this.#open.add(one);
    return one;
  }
}

export function listener(
  name: string,
  port: number,
  serves: Serving = { kind: 'http' },
  hostname = '',
): GatewayListener {
  return { name, port, hostname, serves };
}

/** A listener as a parent of routes, for these hosts of it. */
export function parent(name: string, ...hostnames: readonly string[]): RouteParent {
  return { kind: 'listener', gateway: GATEWAY, listener: name, hostnames };
}

/** Status and body of a request of an HTTP/2 session. */
export async function askHttp2(
  session: ClientHttp2Session,
  authority: string,
): Promise<{ readonly status: number; readonly body: string }> {
  const stream = session.request({
    [constants.HTTP2_HEADER_AUTHORITY]: authority,
    [constants.HTTP2_HEADER_PATH]: '/',
  });
  stream.end();
  const [headers] = (await once(stream, 'response')) as [{ ':status'?: number }];
  let body = '';
  for await (const chunk of stream) body += String(chunk);
  return { status: headers[':status'] ?? 0, body };
}

/** Resolves when the gateway has cut it, or ended it. */
export function closed(socket: Socket): Promise<void> {
  socket.resume();
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}

/** One request on a connection that is kept for the next one. */
export function askOn(over: OneConnection, host: string): Promise<Answer> {
  return ask(host, { agent: over });
}

function ask(host: string, options: RequestOptions): Promise<Answer> {
  const headers = { host, ...(options.headers as object) };
  const asking = request({ path: '/', ...options, headers });
  asking.on('error', ignoreError);
  asking.end();
  return answerOf(asking);
}

export class OneConnection extends Agent {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    super({ keepAlive: true, maxSockets: 1 });
    this.#socket = socket;
  }

  override createConnection(): Socket {
    return this.#socket;
  }
}
