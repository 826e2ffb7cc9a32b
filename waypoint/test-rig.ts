// A waypoint in this process, with a handmade mesh around it: services, endpoints that are real servers on loopback, and
// clients that come through real tunnels. Called by the waypoint's tests only; everything is closed at the end.

import { once } from 'node:events';
import {
  createServer as createHttp,
  Agent as HttpAgent,
  type Server as HttpServer,
  type IncomingMessage,
  type RequestOptions,
  request,
} from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { type IpAddress, parseIp } from '../mesh/address.ts';
import { parseIdentity } from '../mesh/identity.ts';
import { ANY_REQUEST } from '../mesh/match-route.ts';
import type { ResourceUpdate } from '../mesh/resource-update.ts';
import type { BackendTarget, Route, RouteMatch, RouteRule } from '../mesh/route.ts';
import { type Service, serviceKey } from '../mesh/service.ts';
import { serviceOf, workloadOf } from '../mesh/test-arbitraries.ts';
import type { TrafficSettings } from '../mesh/traffic-policy.ts';
import type { PortMapping, Workload } from '../mesh/workload.ts';
import { HandmadeDiscovery, issueFrom, memoryLog } from '../node-agent/test-support/world.ts';
import { type Clock, systemClock } from '../runtime/clock.ts';
import { connectTunnel } from '../tunnel/connect.ts';
import { ignoreError } from '../tunnel/socket.ts';
import { createTestCa, type TestCa } from '../tunnel/test-ca.ts';
import { dialLoopback } from '../tunnel/test-peers.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import { startWaypoint, type Waypoint, type WaypointSettings } from './app.ts';
import { StreamSocket } from './http/stream-socket.ts';
import type { Ingress } from './ingress/ingress.ts';

const LOOPBACK = parseIp('127.0.0.1');
const WAYPOINT = parseIdentity('spiffe://cluster.local/ns/shop/sa/waypoint');
const WAYPOINT_UID = 'Kubernetes//Pod/shop/waypoint';
const DOOR = { host: '127.0.0.1', port: 0 };

export type Answer = {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: string[];
  readonly body: string;
  readonly trailers: IncomingMessage['trailers'];
};

export class Rig {
  readonly discovery = new HandmadeDiscovery();
  readonly lines: Record<string, unknown>[];
  readonly #ca: TestCa;
  readonly #servers: Server[] = [];
  readonly #tunnels: Tunnel[] = [];
  readonly #sessions: ClientHttp2Session[] = [];
  readonly #waypoint: Waypoint;
  #stopped: Promise<void> | undefined;
  #vips = 0;

  private constructor(
    ca: TestCa,
    waypoint: Waypoint,
    discovery: HandmadeDiscovery,
    lines: Record<string, unknown>[],
  ) {
    this.#ca = ca;
    this.#waypoint = waypoint;
    this.discovery = discovery;
    this.lines = lines;
  }

  static async open(
    over: Partial<WaypointSettings> = {},
    clock: Clock = systemClock,
  ): Promise<Rig> {
    const ca = await createTestCa();
    const discovery = new HandmadeDiscovery();
    const { log, lines } = memoryLog();
    discovery.push({
      kind: 'workload',
      workload: workloadOf({
        uid: WAYPOINT_UID,
        name: 'waypoint',
        namespace: 'shop',
        serviceAccount: 'waypoint',
        workloadName: 'waypoint',
        addresses: [parseIp('127.0.0.99')],
        nativeTunnel: true,
      }),
    });
    const waypoint = await startWaypoint(
      { clock, log, discovery, issue: issueFrom(ca) },
      {
        identity: WAYPOINT,
        workloadUid: WAYPOINT_UID,
        gateway: over.ingress?.gateway ?? 'shop/waypoint',
        tunnels: DOOR,
        admin: DOOR,
        metrics: DOOR,
        ready: DOOR,
        certificateTtlMs: 3_600_000,
        drainDeadlineMs: 1000,
        ...over,
      },
    );
    await waypoint.serving;
    return new Rig(ca, waypoint, discovery, lines);
  }

  /** There when the rig was opened as one. */
  get ingress(): Ingress {
    const { ingress } = this.#waypoint;
    if (ingress === undefined) throw new Error('The rig was not opened as an ingress');
    return ingress;
  }

  /** A service behind the waypoint. */
  service(
    name: string,
    appProtocol: PortMapping['appProtocol'] = 'http11',
  ): Service & { vip: IpAddress } {
    const vip = parseIp(`10.96.0.${++this.#vips}`);
    const service = serviceOf({
      name,
      namespace: 'shop',
      hostname: `${name}.shop.svc.cluster.local`,
      vips: [{ network: '', ip: vip, prefixLength: undefined }],
      ports: [{ servicePort: 80, targetPort: 0, appProtocol }],
      waypoint: { by: 'address', network: '', ip: parseIp('127.0.0.99'), port: 15008 },
      canonical: true,
    });
    this.discovery.push({ kind: 'service', service });
    return { ...service, vip };
  }

  /** A real HTTP/1.1 server as an endpoint of the service, outside the mesh. */
  async endpoint(service: Service, name: string, server: Server | HttpServer): Promise<Workload> {
    this.#servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return this.listening(service, name, (server.address() as AddressInfo).port);
  }

  /** The same of a server that is somebody else's, at its port on loopback. */
  listening(service: Service, name: string, port: number): Workload {
    const [mapping] = service.ports;
    const workload = workloadOf({
      uid: `Kubernetes//Pod/shop/${name}`,
      name,
      namespace: 'shop',
      serviceAccount: name,
      workloadName: name,
      protocol: 'tcp',
      addresses: [LOOPBACK],
      services: new Map([
        [
          `shop/${service.hostname}`,
          mapping === undefined ? [] : [{ ...mapping, targetPort: port }],
        ],
      ]),
    });
    this.discovery.push({ kind: 'workload', workload });
    return workload;
  }

  http(
    service: Service,
    name: string,
    handler: Parameters<typeof createHttp>[1],
  ): Promise<Workload> {
    return this.endpoint(service, name, createHttp(handler as never));
  }

  /** What a TrafficPolicy of the service says, in the place of what it said before. */
  policy(service: Service, settings: Partial<TrafficSettings>): void {
    const target = { kind: 'service', service: serviceKey(service), port: undefined } as const;
    const policy = { namespace: 'shop', name: service.name, targets: [target], settings };
    this.discovery.push({ kind: 'traffic-policy', policy });
  }

  /** One series of a counter: the sum of those whose labels begin with these. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const text = await this.#waypoint.metrics.text();
    let sum = 0;
    for (const line of text.split('\n')) {
      const [, series, said = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
      if (series !== name) continue;
      const matches = Object.entries(labels).every(([key, one]) =>
        said.includes(`${key}="${one}"`),
      );
      if (matches) sum += Number(value);
    }
    return sum;
  }

  /** A tunnel of a client's to the waypoint. */
  async tunnel(client = 'spiffe://cluster.local/ns/shop/sa/client'): Promise<Tunnel> {
    const { ports } = this.#waypoint;
    const tunnel = await connectTunnel(
      { clock: systemClock, credentials: await this.#ca.credentials(client) },
      await dialLoopback(ports.tunnels),
      { name: 'the waypoint', expected: [WAYPOINT] },
    );
    this.#tunnels.push(tunnel);
    return tunnel;
  }

  /** A client's connection to the service, as bytes. */
  async connect(to: { readonly vip: IpAddress }, tunnel?: Tunnel): Promise<StreamSocket> {
    const stream = await (tunnel ?? (await this.tunnel())).open({
      authority: `${to.vip}:80`,
      fields: {},
    });
    return new StreamSocket(stream, { ip: LOOPBACK, port: 1 });
  }

  async ask(
    to: Service & { readonly vip: IpAddress },
    options: RequestOptions & { readonly body?: string | Buffer; readonly as?: string } = {},
  ): Promise<Answer> {
    const { body, as, ...rest } = options;
    const socket = await this.connect(to, as === undefined ? undefined : await this.tunnel(as));
    const asking = request({
      path: '/',
      headers: { host: to.name, ...(rest.headers as object) },
      ...rest,
      agent: new OneConnection(socket),
    } as RequestOptions);
    // a connection that ends after its answer
    asking.on('error', ignoreError);
    asking.end(body);
    return answerOf(asking);
  }

  async http2(to: { readonly vip: IpAddress }): Promise<ClientHttp2Session> {
    const socket = await this.connect(to);
    const session = connectHttp2('http://service', { createConnection: () => socket as never });
    this.#sessions.push(session);
    return session;
  }

  metrics(): Promise<string> {
    return this.#waypoint.metrics.text();
  }

  /** The waypoint drains, and ends; its clients and endpoints are still there. */
  stop(): Promise<void> {
    this.#stopped ??= this.#waypoint.stop();
    return this.#stopped;
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    await Promise.all(this.#tunnels.map((tunnel) => tunnel.close()));
    await this.stop();
    for (const server of this.#servers) {
      if ('closeAllConnections' in server) (server as HttpServer).closeAllConnections();
      server.close();
    }
  }
}

export async function answerOf(asking: NodeJS.EventEmitter): Promise<Answer> {
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  const { statusCode = 0, headers, rawHeaders, trailers } = response;
  return { status: statusCode, headers, rawHeaders, body, trailers };
}

class OneConnection extends HttpAgent {
  readonly #socket: StreamSocket;

  constructor(socket: StreamSocket) {
    super();
    this.#socket = socket;
  }

  override createConnection(): StreamSocket {
    return this.#socket;
  }
}

/** A route of the service's own namespace for all of its ports. */
export function httpRoute(
  service: Service,
  name: string,
  rules: readonly (Partial<RouteRule> & { readonly to?: Service | readonly Service[] })[],
  over: Partial<Route> = {},
): ResourceUpdate {
  const route: Route = {
    kind: 'http',
    namespace: 'shop',
    name,
    createdAt: 0,
    parents: [
      { kind: 'service', service: serviceKey(service), port: undefined, clientsOf: undefined },
    ],
    rules: rules.map(({ to = [], ...rule }) => ({
      name: undefined,
      matches: [],
      filters: [],
      backends: [to].flat().map((one) => ({ target: backendTo(one), weight: 1, filters: [] })),
      requestTimeoutMs: undefined,
      backendTimeoutMs: undefined,
      retry: undefined,
      sessionPersistence: undefined,
      ...rule,
    })),
    ...over,
  };
  return { kind: 'route', route };
}

export function backendTo(service: Service): BackendTarget {
  return { kind: 'service', service: serviceKey(service), port: 80, subset: undefined };
}

export function prefix(value: string): RouteMatch {
  return { ...ANY_REQUEST, path: { type: 'prefix', value } };
}
