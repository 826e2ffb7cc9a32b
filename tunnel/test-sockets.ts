// Small words for sockets in tests: answer, ask, read to the end, tell how it ended. Used by tests that carry bytes, here
// and in the folders above.

import type { Socket } from 'node:net';

export function echo(socket: Socket): void {
  socket.pipe(socket);
}

/** One question, one answer on an open connection. */
export async function ask(socket: Socket, question: string): Promise<string> {
  const answer = new Promise<string>((resolve, reject) => {
    const onData = (chunk: Buffer): void => {
      socket.off('close', onClose);
      resolve(String(chunk));
    };
    const onClose = (): void => {
      socket.off('data', onData);
      reject(new Error('The connection was closed'));
    };
    socket.once('data', onData);
    socket.once('close', onClose);
  });
  socket.write(question);
  return answer;
}

export async function text(socket: Socket): Promise<string> {
  let got = '';
  for await (const chunk of socket) got += String(chunk);
  return got;
}

/** `clean`, or the code of the error the socket ended with. */
export function fate(socket: Socket): Promise<string> {
  socket.resume();
  return new Promise((resolve) => {
    let code = 'clean';
    socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code ?? 'unknown';
    });
    socket.on('close', () => resolve(code));
  });
}
