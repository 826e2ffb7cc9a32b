// Requests through a waypoint against requests straight to their server, all in this process: HTTP/1.1 on one connection that is
// kept, and many streams of HTTP/2 at once. The client's end of the tunnel is part of the figure.

import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  createServer as createHttp2,
} from 'node:http2';
import { type AddressInfo, connect, type Server } from 'node:net';
import type { Duplex } from 'node:stream';
import { Rig } from '../../waypoint/test-rig.ts';
import type { Scenario } from '../scenario.ts';

const REQUESTS = 2000;
const AT_ONCE = 50;
const BODY = Buffer.alloc(1024, 'x');

export const waypointScenarios: readonly (() => Promise<Scenario>)[] = [
  async () => {
    const rig = await Rig.open();
    const service = rig.service('web', 'http11');
    const server = createServer({ keepAliveTimeout: 0 }, (_, response) => void response.end(BODY));
    await rig.endpoint(service, 'web-1', server);
    const through = await rig.connect(service);
    const direct = await dialled(server);
    return scenario(rig, 'HTTP/1.1 GET, one after the other', {
      direct: () => inTurn(direct),
      mesh: () => inTurn(through),
    });
  },
  async () => {
    const rig = await Rig.open();
    const service = rig.service('web', 'http2');
    const server = createHttp2((_, response) => void response.end(BODY));
    await rig.endpoint(service, 'web-1', server);
    const through = await rig.http2(service);
    const socket = await dialled(server);
    const direct = connectHttp2('http://web', { createConnection: () => socket as never });
    return scenario(rig, `HTTP/2 GET, ${AT_ONCE} at once`, {
      direct: () => sideBySide(direct),
      mesh: () => sideBySide(through),
    });
  },
];

function scenario(rig: Rig, name: string, runs: Pick<Scenario, 'direct' | 'mesh'>): Scenario {
  return { name, unit: 'request', amount: REQUESTS, ...runs, close: () => rig.close() };
}

async function dialled(server: Server): Promise<Duplex> {
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return socket;
}

class OneConnection extends Agent {
  readonly #socket: Duplex;

  constructor(socket: Duplex) {
    super({ keepAlive: true, maxSockets: 1 });
    this.#socket = socket;
  }

  override createConnection(): Duplex {
    return this.#socket;
  }
}

const agents = new WeakMap<Duplex, Agent>();

async function inTurn(socket: Duplex): Promise<void> {
  const agent = agents.get(socket) ?? new OneConnection(socket);
  agents.set(socket, agent);
  for (let i = 0; i < REQUESTS; i++) {
    const asking = request({ agent, path: '/', headers: { host: 'web' } });
    asking.end();
    const [response] = await once(asking, 'response');
    response.resume();
    await once(response, 'end');
  }
}

async function sideBySide(session: ClientHttp2Session): Promise<void> {
  let left = REQUESTS;
  const ask = async (): Promise<void> => {
    while (left-- > 0) {
      const stream = session.request({ ':path': '/', ':authority': 'web' });
      stream.resume();
      await once(stream, 'end');
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, ask));
}
