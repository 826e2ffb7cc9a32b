// What came back to one request of the HTTP client: a line of its output, and what tests read.

import type { HttpEcho } from '../http-echo/answer.ts';

export type HeaderLines = readonly (readonly [name: string, value: string])[];

export type Answered = {
  readonly ok: true;
  /** Of HTTP; 101 for a WebSocket, 0 for raw TCP. */
  readonly status: number;
  readonly headers: HeaderLines;
  /** Who answered and what they saw, when it was an echo. */
  readonly echo?: HttpEcho;
  /** When it was not. */
  readonly body?: string;
  /** `grpc-status` and `grpc-message`, of trailers or headers. */
  readonly grpc?: { readonly status: number; readonly message: string };
  /** Of a WebSocket or raw TCP: what came back of what was sent. */
  readonly returned?: readonly string[];
};

export type Failed = { readonly ok: false; readonly error: string };

export type Result = Answered | Failed;

/** A line of output. `command` counts the lines of a batch, `request` what `--count` asked for. */
export type ResultLine = Result & { readonly command: number; readonly request: number };

// an error page is a line or two
const MAX_BODY_CHARS = 4096;

/** An echo where the text is one, else the text. */
export function readEcho(text: string): Pick<Answered, 'echo' | 'body'> {
  try {
    const value = JSON.parse(text) as HttpEcho | null;
    if (typeof value === 'object' && value !== null && 'hostname' in value) return { echo: value };
  } catch {
    // no echo wrote it
  }
  return { body: text.slice(0, MAX_BODY_CHARS) };
}

export function isGood(result: Result): boolean {
  return result.ok && (result.grpc?.status ?? 0) === 0;
}
