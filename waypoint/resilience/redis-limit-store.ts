// Rate limits counted in Redis or Valkey: one script for each request, atomic in the server and on its clock, so that
// waypoints need not agree on the time. Made by the waypoint, one for each Redis that policies name, shared by their
// limiters. Invariant: a key lives no longer than its limit needs it.

import { createHash } from 'node:crypto';
import { Duplex } from 'node:stream';
import { AbstractConnector, Redis } from 'iovalkey';
import type { LimitStore, StoreAnswer } from './global-rate-limit.ts';

export type RedisStoreParts = {
  /**
   * A stream to the Redis, over whichever way it is reached. Called again when the last one ended, or when it rejected,
   * which it has to within a bounded time.
   */
  readonly connect: () => Promise<Duplex>;
  /** Told of connections that fail or end; nobody else would hear of it. */
  readonly failed: (error: Error) => void;
};

// GCRA: the server keeps when the last of the requests let in so far is due ("theoretical arrival time"), in microseconds
// since 1970, and lets in what is due within the limit's own time. Returns { allowed, milliseconds to wait }.
const TAKE = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[1])
local window = tonumber(ARGV[2])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now) + interval
if due - window > now + 0.5 then
  return { 0, math.ceil((due - window - now) / 1000) }
end
redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.max(1, math.ceil((due - now) / 1000)))
return { 1, 0 }
`;

type WithTake = Redis & {
  ambitTake(key: string, intervalMicros: string, windowMicros: string): Promise<[number, number]>;
};

// a Redis that restarts is there again within seconds
const RECONNECT_STEP_MS = 100;
const MAX_RECONNECT_MS = 2000;

export class RedisLimitStore implements LimitStore {
  readonly #redis: WithTake;
  /** The first connection is there, or has failed: only those that come before wait for it, as long as their limit lets them. */
  readonly #opened: Promise<void>;

  constructor({ connect, failed }: RedisStoreParts) {
    class StreamConnector extends AbstractConnector {
      constructor() {
        super(0);
      }
      async connect(): Promise<never> {
        const stream = await connect().catch((error: unknown) => {
          // what rejects here is never tried again; a stream that has ended is
          this.firstError = error instanceof Error ? error : new Error(String(error));
          return new Duplex().destroy();
        });
        this.stream = stream as never;
        return stream as never;
      }
    }
    const redis = new Redis({
      Connector: StreamConnector as never,
      // a request asks now or not at all: it must not wait for a connection
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      enableReadyCheck: false,
      // many requests in one write
      enableAutoPipelining: true,
      retryStrategy: (times) => Math.min(times * RECONNECT_STEP_MS, MAX_RECONNECT_MS),
      // of sockets; a stream of a tunnel has neither
      noDelay: false,
      keepAlive: false as never,
    });
    const opened = Promise.withResolvers<void>();
    redis.once('ready', opened.resolve);
    redis.once('close', opened.resolve);
    this.#opened = opened.promise;
    redis.on('error', failed);
    redis.defineCommand('ambitTake', { numberOfKeys: 1, lua: TAKE });
    this.#redis = redis as WithTake;
  }

  async take(
    key: string,
    { requests, perMs }: { readonly requests: number; readonly perMs: number },
  ): Promise<StoreAnswer> {
    await this.#opened;
    const window = perMs * 1000;
    const [allowed, retryAfterMs] = await this.#redis.ambitTake(
      // callers' identities and headers are nobody's business in Redis, and may be long
      `ambit:limit:${createHash('sha256').update(key).digest('base64url')}`,
      String(window / requests),
      String(window),
    );
    return { allowed: allowed === 1, retryAfterMs };
  }

  reset(): void {
    this.#redis.disconnect(true);
  }

  close(): void {
    this.#redis.disconnect();
  }
}
