// The shop's services: who asks whom, and what they say. Plain HTTP that a person can read on the wire, which is the
// point of the tour's first act.

import {
  type Agent,
  createServer,
  get,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';

export const ROLES = ['web', 'cart', 'catalog', 'payments'] as const;
export type Role = (typeof ROLES)[number];

/** The path each role asks of another before it answers. */
const ASKS: Readonly<Record<Role, readonly { readonly role: Role; readonly path: string }[]>> = {
  web: [
    { role: 'catalog', path: '/catalog/teapots' },
    { role: 'cart', path: '/cart/alice' },
  ],
  cart: [{ role: 'payments', path: '/payments/alice/card' }],
  catalog: [],
  payments: [],
};

const GOODS: Readonly<Record<Role, object>> = {
  web: { page: 'welcome to the shop' },
  cart: { customer: 'alice', items: [{ name: 'blue teapot', price: '19.90' }] },
  catalog: { teapots: ['blue teapot', 'red teapot'], price: '19.90' },
  payments: { customer: 'alice', card: '4111 1111 1111 1111' },
};

// A connection serves a few requests and is then closed politely, as any service behind a balancer should: traffic
// spreads, and what is new about the network is used within seconds.
const REQUESTS_A_CONNECTION = 20;
const ASK_TIMEOUT_MS = 5000;

export type Trade = {
  readonly role: Role;
  /** `http://host:port` of a role. */
  readonly urlOf: (role: Role) => string;
  readonly agent: Agent;
};

export function createShop(trade: Trade): Server {
  const server = createServer((request, response) => void serve(trade, request, response));
  server.maxRequestsPerSocket = REQUESTS_A_CONNECTION;
  return server;
}

async function serve(
  trade: Trade,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  request.resume();
  if (request.url === '/healthz') {
    response.end('ok\n');
    return;
  }
  try {
    const answers = await Promise.all(
      ASKS[trade.role].map(({ role, path }) => ask(`${trade.urlOf(role)}${path}`, trade.agent)),
    );
    response.writeHead(200, { 'content-type': 'application/json', 'x-shop-service': trade.role });
    response.end(
      `${JSON.stringify({ ...GOODS[trade.role], asked: answers.map((text) => JSON.parse(text) as unknown) })}\n`,
    );
  } catch (error) {
    response.writeHead(502, { 'content-type': 'text/plain' });
    response.end(`${trade.role}: ${error instanceof Error ? error.message : String(error)}\n`);
  }
}

/** @throws Error naming the URL, for anything but a whole 200 answer */
function ask(url: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`Cannot get ${url}: ${why}`));
    const request = get(url, { agent, timeout: ASK_TIMEOUT_MS }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () =>
        response.statusCode === 200 ? resolve(text) : fail(`${response.statusCode} ${text.trim()}`),
      );
      response.on('error', (error) => fail(error.message));
    });
    request.on('timeout', () =>
      request.destroy(new Error(`no answer within ${ASK_TIMEOUT_MS / 1000} s`)),
    );
    request.on('error', (error) => fail(error.message));
  });
}
