// A body read ahead: what was read, what is left, and what ends it.

import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import { HttpFailure } from '../../mesh/http-failures.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { BodyPeek, PeekBudget } from './body-peek.ts';

const NEVER = new AbortController().signal;

function world(budget = new PeekBudget()) {
  const clock = new ManualClock();
  const body = new PassThrough();
  let asked = 0;
  const source = {
    body,
    expectsContinue: true,
    continue: () => {
      asked++;
    },
  };
  const peek = new BodyPeek({ clock, budget }, source);
  const text = async (maxBytes: number): Promise<string> => {
    const { bytes, complete } = await peek.peek(maxBytes, NEVER);
    return `${Buffer.from(bytes)}${complete ? '.' : '...'}`;
  };
  return { clock, body, peek, text, asked: () => asked };
}

const codeOf = (error: unknown): string =>
  error instanceof HttpFailure ? error.code : String(error);

describe('BodyPeek', () => {
  test('shows the beginning, and keeps all that it read for who sends it on', async () => {
    const { body, peek, text, asked } = world();
    body.write('0123456789');
    assert.equal(await text(4), '0123...');
    assert.equal(await text(2), '01...');
    body.write('abc');
    assert.equal(await text(12), '0123456789ab...');
    body.end();
    assert.equal(await text(20), '0123456789abc.');
    assert.equal(await text(13), '0123456789abc.');
    assert.equal(Buffer.concat(peek.read).toString(), '0123456789abc');
    assert.equal(asked(), 1, 'the client was told to go on once');
  });

  test('leaves in the source what nobody asked for', async () => {
    const { body, peek, text } = world();
    body.write('01');
    assert.equal(await text(1), '0...');
    body.end('23');
    let rest = '';
    for await (const chunk of body) rest += String(chunk);
    assert.equal(Buffer.concat(peek.read).toString() + rest, '0123');
  });

  test('that breaks off or takes too long ends the request', async () => {
    const broken = world();
    const first = broken.text(10);
    broken.body.destroy(new Error('gone'));
    await assert.rejects(first, (error) => codeOf(error) === 'REQUEST_INCOMPLETE');
    const slow = world();
    const second = assert.rejects(slow.text(10), (error) => codeOf(error) === 'REQUEST_INCOMPLETE');
    await slow.clock.advance(15_000);
    await second;
    assert.equal(slow.clock.pending(), 0);
  });

  test('of a client that has gone ends with the reason', async () => {
    const { peek } = world();
    const gone = new AbortController();
    const waiting = peek.peek(10, gone.signal);
    gone.abort(new Error('gone'));
    await assert.rejects(waiting, /gone/);
  });

  test('what all hold together is bounded, until they let go of it', async () => {
    const budget = new PeekBudget(10);
    const [one, two] = [world(budget), world(budget)];
    one.body.end('12345678');
    assert.equal(await one.text(100), '12345678.');
    two.body.write('123');
    await assert.rejects(two.text(100), (error) => codeOf(error) === 'OVERLOADED');
    two.peek.release();
    one.peek.release();
    one.peek.release();
    const three = world(budget);
    three.body.end('1234567890');
    assert.equal(await three.text(100), '1234567890.');
  });
});
