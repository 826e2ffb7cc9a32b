// A gRPC client made with @grpc/grpc-js, run by node inside a pod: every kind of call to the server at ADDRESS, one after
// the other. Prints what each came to as one line of JSON. KEY makes its cancelled calls known in the server's log.

import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { TALK } from './talk-service.ts';

const [address = '', key = ''] = process.argv.slice(2);
const LATE_MS = 300;
const MANY = 100;
const BIG = 1024 * 1024;

const client = new Client(address, credentials.createInsecure());

type Said = {
  readonly text?: string;
  readonly code?: number;
  readonly details?: string;
  readonly head: Metadata;
  readonly trailers: Metadata;
};

function say(text: string, options: { deadline?: number } = {}): Promise<Said> {
  return new Promise((resolve) => {
    let head = new Metadata();
    const metadata = new Metadata();
    metadata.add('x-asked', 'one');
    metadata.add('x-asked', 'two');
    let failure: ServiceError | null = null;
    let answer: string | undefined;
    const call = client.makeUnaryRequest(
      TALK.say.path,
      TALK.say.requestSerialize,
      TALK.say.responseDeserialize,
      text,
      metadata,
      options,
      (error, value) => {
        failure = error;
        answer = value;
      },
    );
    call.on('metadata', (found: Metadata) => {
      head = found;
    });
    call.on('status', ({ code, details, metadata: trailers }) =>
      setImmediate(() =>
        resolve({
          ...(answer === undefined || failure !== null ? {} : { text: answer }),
          code,
          details,
          head,
          trailers,
        }),
      ),
    );
  });
}

async function trailersOf(): Promise<object> {
  const { text, head, trailers } = await say('trailers');
  return { text, head: head.get('x-head'), trailer: trailers.get('x-trailer') };
}

async function failureOf(): Promise<object> {
  const { code, details, trailers } = await say('fail');
  const [binary] = trailers.get('x-reason-bin');
  return {
    code,
    details,
    reason: trailers.get('x-reason'),
    binary: Buffer.from(binary ?? '').toString('hex'),
  };
}

async function deadlineOf(): Promise<object> {
  const { code } = await say(`sleep ${key}`, { deadline: Date.now() + LATE_MS });
  return { code };
}

async function bigOf(): Promise<object> {
  const { text } = await say('x'.repeat(BIG));
  return { length: text?.length };
}

async function manyOf(): Promise<object> {
  const all = await Promise.all(Array.from({ length: MANY }, (_, i) => say(`message ${i}`)));
  return { right: all.filter(({ text }, i) => text === `message ${i}`).length };
}

function counted(): Promise<object> {
  return new Promise((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = TALK.count;
    const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, '5');
    const texts: string[] = [];
    call.on('data', (text: string) => texts.push(text));
    call.on('error', reject);
    call.on('status', ({ code, metadata }) =>
      resolve({ texts, code, trailer: metadata.get('x-counted') }),
    );
  });
}

/** Stops a stream that would go on for ever. */
function cancelled(): Promise<object> {
  return new Promise((resolve) => {
    const { path, requestSerialize, responseDeserialize } = TALK.count;
    const call = client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      `forever ${key}`,
    );
    let seen = 0;
    call.on('data', () => {
      if (++seen === 3) call.cancel();
    });
    call.on('error', () => {});
    call.on('status', ({ code }) => resolve({ seen, code }));
  });
}

function summed(): Promise<object> {
  return new Promise((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = TALK.sum;
    const call = client.makeClientStreamRequest<string, string>(
      path,
      requestSerialize,
      responseDeserialize,
      (error, text) => (error === null ? resolve({ text }) : reject(error)),
    );
    for (const text of ['1', '2', '3', '4']) call.write(text);
    call.end();
  });
}

/** Says the next only when the last has come back: nothing on the way may wait for the end. */
function chatted(): Promise<object> {
  return new Promise((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = TALK.chat;
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    const texts: string[] = [];
    call.on('data', (text: string) => {
      texts.push(text);
      if (texts.length < 5) call.write(`word ${texts.length}`);
      else call.end();
    });
    call.on('error', reject);
    call.on('status', ({ code }) => resolve({ texts, code }));
    call.write('word 0');
  });
}

const outcome = {
  trailers: await trailersOf(),
  failure: await failureOf(),
  deadline: await deadlineOf(),
  big: await bigOf(),
  many: await manyOf(),
  counted: await counted(),
  cancelled: await cancelled(),
  summed: await summed(),
  chatted: await chatted(),
};
process.stdout.write(`${JSON.stringify(outcome)}\n`);
client.close();
