// A client of HTTP/2 that says what a test wants, frame by frame. Called by the tests of this folder only.

import * as h2 from '../../tunnel/test-frames.ts';
import type { Rig } from '../test-rig.ts';
import type { Door } from './test-door.ts';

const { END_HEADERS, END_STREAM, FRAME, block, frame } = h2;
export const WHOLE = END_HEADERS | END_STREAM;

export type Field = readonly [name: string, value: string];

export const GET: readonly Field[] = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/x'],
  [':authority', 'web'],
];

export function head(fields: readonly Field[], stream = 1, flags = WHOLE): Buffer {
  return frame(FRAME.headers, { flags, stream, payload: block(fields) });
}

export function but(name: string, value: string | undefined): readonly Field[] {
  return GET.flatMap((field): Field[] => {
    if (field[0] !== name) return [field];
    return value === undefined ? [] : [[name, value]];
  });
}

export const body = (text: string, flags = END_STREAM): Buffer =>
  frame(FRAME.data, { stream: 1, flags, payload: Buffer.from(text) });
export const posted = (...fields: readonly Field[]): Buffer =>
  head([...but(':method', 'POST'), ...fields], 1, END_HEADERS);
export const times = (count: number, make: (index: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));

export async function peerTo(
  rig: Rig,
  door: Door,
  ...frames: readonly Buffer[]
): Promise<h2.RawPeer> {
  const socket = await rig.connect(door);
  // else the waypoint lingers for a second
  socket.once('end', () => socket.end());
  const raw = h2.rawPeer(socket as never);
  raw.send(h2.PREFACE, h2.settings(), ...frames);
  return raw;
}
