// What tests of bad input have in common: an endpoint that notes every request it is sent, a client that sends bytes as
// they are, and a look into the access log. Called by the tests of this folder only.

import { type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcp, type Socket } from 'node:net';
import type { PortMapping } from '../../mesh/workload.ts';
import { until } from '../../node-agent/test-support/world.ts';
import type { StreamSocket } from '../http/stream-socket.ts';
import type { Rig } from '../test-rig.ts';

export type Door = ReturnType<Rig['service']>;

export type Seen = {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly string[];
  readonly body: string;
};

/** A service whose endpoint answers each request with `ok`, and notes it. */
export class Witness {
  readonly service: Door;
  readonly seen: Seen[] = [];
  readonly #rig: Rig;

  private constructor(rig: Rig, service: Door) {
    this.#rig = rig;
    this.service = service;
  }

  static async open(
    rig: Rig,
    name: string,
    appProtocol: PortMapping['appProtocol'] = 'http11',
  ): Promise<Witness> {
    const witness = new Witness(rig, rig.service(name, appProtocol));
    await rig.http(
      witness.service,
      `${name}-1`,
      (request, response) => void witness.#answer(request, response),
    );
    return witness;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    request.setEncoding('latin1');
    try {
      for await (const chunk of request) body += String(chunk);
    } catch {
      return;
    }
    const { method = '', url = '', rawHeaders } = request;
    this.seen.push({ method, target: url, headers: rawHeaders, body });
    response.end('ok');
  }

  /** Whether the waypoint serves the next request of somebody else. */
  async stillServes(): Promise<boolean> {
    const before = this.seen.length;
    const { status } = await this.#rig.ask(this.service, { path: '/next' });
    return status === 200 && this.seen.length === before + 1;
  }
}

/** An endpoint that speaks bytes of the test's own. */
export async function rawEndpoint(
  rig: Rig,
  name: string,
  speak: (socket: Socket) => void,
  appProtocol: PortMapping['appProtocol'] = 'http11',
): Promise<Door> {
  const service = rig.service(name, appProtocol);
  const server = createTcp((socket) => {
    socket.on('error', () => {});
    speak(socket);
  });
  await rig.endpoint(service, `${name}-1`, server);
  return service;
}

export type Heard = {
  readonly text: string;
  /** undefined: nothing was answered. */
  readonly status: number | undefined;
  readonly closed: boolean;
};

/** Sends bytes and listens until the connection ends, or `enough` is there. */
export async function say(
  rig: Rig,
  to: Door,
  bytes: string | Buffer,
  enough?: RegExp,
): Promise<Heard> {
  const socket = await rig.connect(to);
  socket.write(Buffer.from(bytes as string, 'latin1'));
  return hear(socket, enough);
}

export async function hear(socket: StreamSocket, enough?: RegExp): Promise<Heard> {
  let text = '';
  let closed = true;
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  try {
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      text += (chunk as Buffer).toString('latin1');
      if (enough?.test(text) !== true) continue;
      closed = false;
      break;
    }
  } catch {
    // reset: what was heard before counts
  }
  socket.destroy();
  await ended;
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1];
  return { text, status: status === undefined ? undefined : Number(status), closed };
}

type Line = Record<string, unknown>;

/** The last line of the access log that came after `since` lines, when it is there. */
export async function accessLine(rig: Rig, since: number): Promise<Line> {
  const find = (): Line | undefined =>
    rig.lines.slice(since).findLast(({ message }) => message === 'request complete');
  await until(() => find() !== undefined);
  return find() as Line;
}

/** The line that names bytes which were no request. */
export async function refusalLine(rig: Rig, since: number): Promise<Line> {
  const find = (): Line | undefined =>
    rig.lines
      .slice(since)
      .findLast(({ message }) => message === 'Refused bytes that are no request');
  await until(() => find() !== undefined);
  return find() as Line;
}
