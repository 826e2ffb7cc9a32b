// exec and attach over a WebSocket: stdin, stdout, stderr, error and resize are channels 0 to 4.
// Called by attach.ts after the handshake. The server closes once the outcome is sent; clients wait for that.

import { Buffer } from 'node:buffer';
import type { WebSocket } from 'ws';
import { type ChannelSettings, Channels } from './channels.ts';
import type { ExecRequest } from './request.ts';
import { runExec } from './run-exec.ts';
import type { StreamSession } from './session.ts';

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const ERROR = 3;
const RESIZE = 4;
const NORMAL_CLOSURE = 1000;

export async function execOverWebSocket(
  parts: { readonly socket: WebSocket; readonly settings: ChannelSettings },
  request: ExecRequest,
  exec: NonNullable<StreamSession['exec']>,
  signal: AbortSignal,
): Promise<void> {
  const { socket } = parts;
  const channels = new Channels({ socket }, parts.settings);
  const gone = new AbortController();
  const closed = channels.closed.then(() => gone.abort());
  const onAbort = (): void => socket.terminate();
  signal.addEventListener('abort', onAbort, { once: true });
  const io = {
    stdin: request.stdin ? channels.readable(STDIN) : undefined,
    stdout: request.stdout ? channels.writable(STDOUT) : undefined,
    stderr: request.stderr ? channels.writable(STDERR) : undefined,
    resize: request.tty ? channels.readable(RESIZE) : undefined,
    error: channels.writable(ERROR),
  };
  // an empty message on the first output channel is the sign that the command can start
  (io.stdout ?? io.stderr ?? io.error).write(Buffer.alloc(0));
  await runExec(io, request.tty, exec, gone.signal);
  socket.close(NORMAL_CLOSURE);
  await closed;
  signal.removeEventListener('abort', onAbort);
}
