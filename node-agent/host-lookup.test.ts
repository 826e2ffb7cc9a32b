import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import { failureCodeOf } from '../mesh/failures.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { HostLookup, type HostRecord, type ResolveHost } from './host-lookup.ts';

const V4 = parseIp('10.0.0.1');
const V6 = parseIp('fd00::1');
const NEVER = new AbortController().signal;
const record = (ip: string, ttlSeconds = 30): HostRecord => ({ ip: parseIp(ip), ttlSeconds });

/** Answers in order, the last one for ever; what is an Error is thrown. */
function setUp(...answers: readonly (readonly HostRecord[] | Error)[]) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const resolve: ResolveHost = async (hostname) => {
    const answer = answers[Math.min(asked.length, answers.length - 1)];
    asked.push(hostname);
    if (answer === undefined || answer instanceof Error) throw answer ?? new Error('no answer');
    return answer;
  };
  return { clock, asked, hosts: new HostLookup({ clock, resolve, random: () => 0.99 }) };
}

const unresolved = (error: unknown): boolean => failureCodeOf(error) === 'NAME_UNRESOLVED';

describe('an endpoint’s name', () => {
  test('is an address of the family that was asked for, else of the other', async () => {
    const { hosts } = setUp([record('192.0.2.1'), record('192.0.2.2'), record('2001:db8::1')]);
    assert.equal(await hosts.address('db', V4, NEVER), '192.0.2.2');
    assert.equal(await hosts.address('db', V6, NEVER), '2001:db8::1');
    const only = setUp([record('2001:db8::1')]);
    assert.equal(await only.hosts.address('db', V4, NEVER), '2001:db8::1');
  });

  test('is asked for once by all who wait, and again when the shortest time to live is over', async () => {
    const { hosts, asked, clock } = setUp([record('192.0.2.1', 30), record('192.0.2.2', 60)]);
    await Promise.all(Array.from({ length: 100 }, () => hosts.address('db', V4, NEVER)));
    await clock.advance(29_999);
    await hosts.address('db', V4, NEVER);
    assert.equal(asked.length, 1);
    await clock.advance(1);
    await hosts.address('db', V4, NEVER);
    assert.equal(asked.length, 2);
  });

  test('that does not resolve fails all who wait, by name, and is asked for again a second later', async () => {
    const { hosts, asked, clock } = setUp(new Error('ENOTFOUND'), [record('192.0.2.1')]);
    await assert.rejects(hosts.address('db', V4, NEVER), (error: Error) => {
      assert.match(error.message, /db.*ENOTFOUND/);
      return unresolved(error);
    });
    await assert.rejects(hosts.address('db', V4, NEVER), unresolved);
    assert.equal(asked.length, 1);
    await clock.advance(1000);
    assert.equal(await hosts.address('db', V4, NEVER), '192.0.2.1');
  });

  test('that nobody answers for fails after five seconds', async () => {
    const clock = new ManualClock();
    const resolve: ResolveHost = (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    const hosts = new HostLookup({ clock, resolve, random: () => 0 });
    const failed = assert.rejects(hosts.address('db', V4, NEVER), unresolved);
    await clock.advance(5000);
    await failed;
  });

  test('is not waited for by a connection that was cut; the others wait on', async () => {
    const answer = Promise.withResolvers<readonly HostRecord[]>();
    const clock = new ManualClock();
    const hosts = new HostLookup({ clock, resolve: () => answer.promise, random: () => 0 });
    const cut = new AbortController();
    const first = hosts.address('db', V4, cut.signal);
    const second = hosts.address('db', V4, NEVER);
    cut.abort(new Error('cut'));
    await assert.rejects(first, /cut/);
    answer.resolve([record('192.0.2.1')]);
    assert.equal(await second, '192.0.2.1');
  });

  test('is forgotten when 4096 others were asked for since', async () => {
    const { hosts, asked } = setUp([record('192.0.2.1')]);
    for (let i = 0; i <= 4096; i++) await hosts.address(`name-${i}`, V4, NEVER);
    await hosts.address('name-1', V4, NEVER);
    assert.equal(asked.length, 4097);
    await hosts.address('name-0', V4, NEVER);
    assert.equal(asked.length, 4098);
  });
});
