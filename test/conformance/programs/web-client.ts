// A client of web-server.ts at HOST[:PORT], run by node inside a pod. Prints what each thing came to as one line of JSON.

import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import { WebSocket } from 'ws';

const { hostname: host, port } = new URL(`http://${process.argv[2]}`);
const BIG = Buffer.alloc(1024 * 1024, 'x');

type Answer = {
  readonly status: number;
  readonly text: string;
  readonly response: IncomingMessage;
};

function ask(
  path: string,
  options: RequestOptions = {},
  body: string | Buffer = '',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host, port, path, agent: false, ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, response }));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

function events(): Promise<object> {
  return new Promise((resolve, reject) => {
    const seen: string[] = [];
    const sent = request(
      { host, port, path: '/events', method: 'POST', agent: false },
      (response) => {
        response.setEncoding('utf8').on('data', (text: string) => {
          seen.push(text.trim());
          sent.write('seen');
        });
        response.on('end', () => {
          sent.end();
          resolve({ seen });
        });
        response.on('error', reject);
      },
    );
    sent.on('error', reject);
    sent.flushHeaders();
  });
}

function earlyHints(): Promise<object> {
  return new Promise((resolve, reject) => {
    let hint: unknown;
    const sent = request({ host, port, path: '/early-hints', agent: false }, (response) => {
      response.resume().on('end', () => resolve({ hint, status: response.statusCode }));
    });
    sent.on('information', ({ statusCode, headers }) => {
      hint = { statusCode, link: headers['link'] };
    });
    sent.on('error', reject);
    sent.end();
  });
}

function expectContinue(refuse: boolean): Promise<object> {
  return new Promise((resolve, reject) => {
    const headers = {
      expect: '100-continue',
      'content-length': 4,
      ...(refuse ? { 'x-refuse': '1' } : {}),
    };
    let continued = false;
    const sent = request({ host, port, method: 'POST', agent: false, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        resolve({ continued, status: response.statusCode, text });
        sent.destroy();
      });
    });
    sent.on('continue', () => {
      continued = true;
      sent.end('body');
    });
    sent.on('error', reject);
    sent.flushHeaders();
  });
}

async function trailers(): Promise<object> {
  const { text, response } = await ask('/trailers', { headers: { te: 'trailers' } });
  return { text, sum: response.trailers['x-sum'] };
}

async function withoutBody(): Promise<object> {
  const head = await ask('/any', { method: 'HEAD', headers: { 'content-length': 0 } });
  const nothing = await ask('/nothing');
  const same = await ask('/not-modified');
  return {
    head: [head.status, head.text],
    nothing: [nothing.status, nothing.text],
    same: [same.status, same.response.headers['etag']],
  };
}

async function bigBody(): Promise<object> {
  const headers = { 'content-length': BIG.length };
  const { status, text } = await ask('/big', { method: 'POST', headers }, BIG);
  return { status, length: text.length };
}

function webSocket(): Promise<object> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${host}:${port || 80}/talk`, ['v1.talk', 'v2.talk']);
    const back: string[] = [];
    let pong = false;
    socket.on('open', () => {
      socket.send('text');
      socket.send(BIG, { fin: false });
      socket.send(BIG);
      socket.ping('ping');
    });
    socket.on('pong', () => {
      pong = true;
    });
    socket.on('message', (message: Buffer, isBinary) => {
      back.push(isBinary ? `${message.length} bytes` : String(message));
      if (back.length === 2) socket.send('leave');
    });
    socket.on('error', reject);
    socket.on('close', (code, reason) =>
      resolve({ protocol: socket.protocol, back, pong, code, reason: String(reason) }),
    );
  });
}

const outcome = {
  events: await events(),
  earlyHints: await earlyHints(),
  continued: await expectContinue(false),
  refused: await expectContinue(true),
  trailers: await trailers(),
  withoutBody: await withoutBody(),
  bigBody: await bigBody(),
  webSocket: await webSocket(),
};
process.stdout.write(`${JSON.stringify(outcome)}\n`);
