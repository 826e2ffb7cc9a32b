// A real API server for tests: own port, own state directory, and a small HTTPS client with the admin's certificate.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import type { KubeObject } from './object.ts';
import { type ApiServer, type ApiServerSettings, startApiServer } from './start.ts';

export type Answer = { status: number; headers: IncomingHttpHeaders; body: TestBody; text: string };
/** An answer's JSON, loosely typed. */
export type TestBody = KubeObject & {
  items: KubeObject[];
  message: string;
  reason: string;
  details: { causes?: { field: string; reason: string; message: string }[] };
  [field: string]: unknown;
};

export type CallOptions = {
  body?: unknown;
  type?: string;
  accept?: string;
  token?: string;
  anonymous?: boolean;
  headers?: Record<string, string>;
};

export interface TestServer extends AsyncDisposable {
  readonly server: ApiServer;
  readonly stateDir: string;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** Opens a watch; `next` waits for one event, `ended` for its end. */
  watch(path: string, options?: CallOptions): Promise<TestWatch>;
}

export type WatchEvent = { type: string; object: TestBody };
export interface TestWatch {
  readonly status: number;
  next(): Promise<WatchEvent>;
  readonly ended: Promise<void>;
  close(): void;
  /** Stops reading; the answer starts it again. */
  pause(): () => void;
}

export async function startTestServer(
  settings: Partial<ApiServerSettings> = {},
  clock: Clock = systemClock,
): Promise<TestServer> {
  const stateDir = await mkdtemp(join(tmpdir(), 'apiserver-test-'));
  const server = await startApiServer(
    { log: silentLog, clock },
    {
      listen: [{ host: '127.0.0.1', port: 0 }],
      advertise: [{ host: '127.0.0.1', port: 0 }],
      serviceCidrs: ['10.96.0.0/24', 'fd00:96::/112'],
      stateDir,
      ...settings,
    },
  );
  const kubeconfig = parse(await readFile(server.kubeconfigPath, 'utf8')) as {
    users: { user: Record<string, string> }[];
  };
  const user = kubeconfig.users[0]?.user ?? {};
  const pem = (key: string): Buffer => Buffer.from(user[key] ?? '', 'base64');
  const agent = new Agent({ keepAlive: true });
  const open = (method: string, path: string, options: CallOptions): ClientRequest => {
    const withCertificate = options.token === undefined && options.anonymous !== true;
    return request(`${server.url}${path}`, {
      method,
      agent,
      ca: server.caPem,
      ...(withCertificate
        ? { cert: pem('client-certificate-data'), key: pem('client-key-data') }
        : {}),
      headers: {
        accept: options.accept ?? 'application/json',
        'user-agent': 'test/1.0',
        ...(options.body === undefined
          ? {}
          : { 'content-type': options.type ?? 'application/json' }),
        ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
        ...options.headers,
      },
    });
  };
  const send = (method: string, path: string, options: CallOptions): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const outgoing = open(method, path, options);
      outgoing.once('response', resolve);
      outgoing.once('error', reject);
      const body = encode(options.body);
      // node sends no length of its own with DELETE
      if (body !== undefined) outgoing.setHeader('content-length', Buffer.byteLength(body));
      outgoing.end(body);
    });
  return {
    server,
    stateDir,
    async call(method, path, options = {}) {
      const response = await send(method, path, options);
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      const text = Buffer.concat(chunks).toString();
      const isJson = (response.headers['content-type'] ?? '').startsWith('application/json');
      return {
        status: response.statusCode ?? 0,
        headers: response.headers,
        text,
        body: (isJson ? JSON.parse(text) : {}) as TestBody,
      };
    },
    async watch(path, options = {}) {
      return readEvents(await send('GET', path, options));
    },
    async [Symbol.asyncDispose]() {
      await server.close();
      agent.destroy();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

function encode(body: unknown): string | Buffer | undefined {
  if (body === undefined || typeof body === 'string' || Buffer.isBuffer(body)) return body;
  return JSON.stringify(body);
}

function readEvents(response: IncomingMessage): TestWatch {
  const events: WatchEvent[] = [];
  const waiting: ((event: WatchEvent) => void)[] = [];
  let rest = '';
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const event = JSON.parse(line) as WatchEvent;
      const taker = waiting.shift();
      if (taker === undefined) events.push(event);
      else taker(event);
    }
  });
  const ended = new Promise<void>((resolve) => response.once('close', resolve));
  response.on('error', () => {});
  return {
    status: response.statusCode ?? 0,
    next() {
      const event = events.shift();
      return event === undefined
        ? new Promise((resolve) => waiting.push(resolve))
        : Promise.resolve(event);
    },
    ended,
    close: () => response.destroy(),
    pause() {
      response.pause();
      return () => response.resume();
    },
  };
}
