// Copies of requests for those who want to see them: sent besides, their answers thrown away. Called by serve.ts for the
// mirrors a rule names. Invariants: the request itself never waits for a copy nor fails by one, and what copies hold in
// memory is bounded.

import type { Readable, Writable } from 'node:stream';
import { HttpFailure } from '../mesh/http-failures.ts';
import type { HeaderList } from '../mesh/http-request.ts';
import { DEFAULT_TRAFFIC_POLICY } from '../mesh/traffic-defaults.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { forwardedInside } from './http/headers.ts';
import type { Inbound } from './inbound.ts';
import { backendOf, type PickParts, Way } from './pick.ts';
import { type Mirror, targetOf } from './routing/plan.ts';
import type { RequestTrail } from './telemetry/request-trail.ts';
import type { WaypointEvents } from './telemetry/waypoint-events.ts';
import type { Endpoints } from './upstream/endpoints.ts';
import type { RequestBody } from './upstream/upstream.ts';

/** Copies under way in one waypoint: what comes then is not copied, and counted as that. */
const MAX_COPIES = 1000;
/** What a copy may hold back of a body that its endpoint takes more slowly than the request's own. */
const MAX_HELD_BYTES = 1024 * 1024;
/** A copy is given up then, whatever becomes of it. */
const MAX_COPY_MS = 15_000;

export type SendMirror = (
  mirror: Mirror,
  body: MirroredBody | undefined,
  inbound: Inbound,
  trail: RequestTrail,
) => void;

export type MirrorParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly pick: PickParts;
  readonly endpoints: Endpoints;
  readonly events: Pick<WaypointEvents, 'count'>;
};

export function mirrorWith(parts: MirrorParts): SendMirror {
  let copies = 0;
  return (mirror, body, inbound, trail) => {
    const service = trail.facts.service;
    if (copies >= MAX_COPIES) {
      parts.events.count('mirror', 'limit', service);
      body?.giveUp();
      return;
    }
    copies++;
    parts.events.count('mirror', 'sent', service);
    void copy(mirror, body, inbound, parts)
      .catch((error: unknown) => {
        body?.giveUp();
        parts.events.count('mirror', 'failed', service);
        parts.log.debug('A mirrored request failed', { error });
      })
      .finally(() => {
        copies--;
      });
  };
}

async function copy(
  { target, request }: Mirror,
  body: MirroredBody | undefined,
  inbound: Inbound,
  { clock, pick, endpoints }: MirrorParts,
): Promise<void> {
  const backend = backendOf(target, pick);
  const way = new Way(backend, inbound, DEFAULT_TRAFFIC_POLICY.loadBalancing, pick);
  const said = backend.kind === 'service' ? backend.port.appProtocol : 'unknown';
  const version = said === 'http2' || said === 'grpc' ? 'http2' : 'http1';
  const late = new AbortController();
  const timer = clock.timer(MAX_COPY_MS, () => {
    late.abort(new HttpFailure('REQUEST_TIMEOUT', 'A mirror took too long'));
  });
  body?.onGivenUp(() => late.abort(new HttpFailure('LOCAL_RESET', 'A mirror was too slow')));
  const announced = { from: inbound.remote, traceparent: inbound.trace.traceparent };
  try {
    const send = endpoints.sender(way.next(undefined), version, way.upstream);
    const response = await send(
      {
        method: request.method,
        scheme: request.scheme,
        authority: request.authority,
        target: targetOf(request, request.path),
        headers: forwardedInside(request.headers, request.scheme),
        body,
        onContinue: undefined,
        onHints: () => {},
        onConnection: () => {},
        upgrade: undefined,
        announced,
      },
      late.signal,
    );
    await new Promise<void>((resolve) => {
      response.body.on('error', () => resolve());
      response.body.once('close', () => resolve());
      response.body.resume();
    });
  } finally {
    timer.cancel();
  }
}

/** The bytes of a request's body once more, for a copy of the request. */
export class MirroredBody implements RequestBody {
  #held: Buffer[] = [];
  #heldBytes = 0;
  #ended = false;
  #trailers: () => HeaderList = () => [];
  #to: { readonly sink: Writable; readonly trailers: (list: HeaderList) => void } | undefined;
  #onGivenUp: (() => void) | undefined;
  #givenUp = false;

  /** Ends with the request's own body. */
  follow(source: Readable, trailers: () => HeaderList): void {
    this.#trailers = trailers;
    // an authorization service wanted to see all of it before
    this.#ended = source.readableEnded;
    if (this.#ended) return;
    source.once('end', () => {
      this.#ended = true;
      this.#finish();
    });
    source.once('close', () => {
      if (!this.#ended) this.giveUp();
    });
  }

  take(chunk: Buffer): void {
    if (this.#givenUp) return;
    if (this.#to === undefined) {
      this.#held.push(chunk);
      this.#heldBytes += chunk.length;
      if (this.#heldBytes > MAX_HELD_BYTES) this.giveUp();
      return;
    }
    this.#to.sink.write(chunk);
    if (this.#to.sink.writableLength > MAX_HELD_BYTES) this.giveUp();
  }

  attach(sink: Writable, trailers: (list: HeaderList) => void): () => void {
    this.#to = { sink, trailers };
    for (const chunk of this.#held) sink.write(chunk);
    this.#held = [];
    if (this.#ended) this.#finish();
    return () => {
      this.#to = undefined;
      this.#givenUp = true;
    };
  }

  onGivenUp(run: () => void): void {
    this.#onGivenUp = run;
    if (this.#givenUp) run();
  }

  giveUp(): void {
    if (this.#givenUp) return;
    this.#givenUp = true;
    this.#held = [];
    this.#onGivenUp?.();
  }

  #finish(): void {
    if (this.#to === undefined || this.#givenUp) return;
    this.#to.trailers(this.#trailers());
    this.#to.sink.end();
  }
}
