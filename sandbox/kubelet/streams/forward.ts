// One forwarded connection: dials the pod's port and copies both ways, with half-close and back-pressure.
// Called by forward-spdy.ts and forward-websocket.ts; never rejects, what fails is told to the client's error channel.

import type { Duplex, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { messageOf } from './outcome.ts';
import type { StreamSession } from './session.ts';

export async function forwardConnection(
  client: {
    readonly data: Duplex;
    readonly error: Writable;
    /** False where the client cannot end its direction: then the pod's end is the end of both. */
    readonly halfClose: boolean;
  },
  port: number,
  dial: NonNullable<StreamSession['dial']>,
  signal: AbortSignal,
): Promise<void> {
  const { data, error } = client;
  let upstream: Duplex;
  try {
    upstream = await dial(port);
  } catch (cause) {
    if (error.writable) error.end(`Cannot forward to port ${port}: ${messageOf(cause)}`);
    data.resume();
    data.end();
    return;
  }
  const fromPod = pipeline(upstream, data, { end: true, signal });
  const toPod = pipeline(data, upstream, { end: true, signal });
  // whichever is awaited second must not fail unheard meanwhile
  toPod.catch(() => {});
  try {
    await fromPod;
    if (client.halfClose) await toPod;
    else upstream.destroy();
  } catch {
    // either end broke off: the other one sees it as a reset
    upstream.destroy();
    data.destroy();
  }
  if (error.writable) error.end();
}
