// Commands and logs of pods through the API server, as kubectl does them, but needing no kubectl. Used by sandbox.ts.

import { WebSocket } from 'ws';
import type { Access } from '../../runtime/kubernetes/kubeconfig.ts';
import { openTransport } from '../../runtime/kubernetes/transport.ts';

export type Answer = { readonly code: number; readonly stdout: string; readonly stderr: string };
export type PodName = { readonly namespace: string; readonly name: string };

export interface PodApi {
  /** Runs a command in the pod's first container, whatever its exit code. */
  exec(pod: PodName, command: readonly string[], stdin?: string): Promise<Answer>;
  logs(pod: PodName, tailLines?: number): Promise<string>;
  /** Resolves with the first answer of `look` to a line, past or to come. @throws Error after `timeoutMs` */
  logLine<T>(
    pod: PodName,
    look: (line: string) => T | undefined,
    options?: { readonly timeoutMs?: number; readonly tailLines?: number },
  ): Promise<T>;
}

const TIMEOUT_MS = 60_000;
const [STDIN, STDOUT, STDERR, ERROR, END] = [0, 1, 2, 3, 255];

type Status = {
  readonly status?: string;
  readonly message?: string;
  readonly details?: { readonly causes?: readonly { reason?: string; message?: string }[] };
};

export function podApi(access: Access): PodApi {
  const transport = openTransport(access);
  const logPath = ({ namespace, name }: PodName, query: string): string =>
    `/api/v1/namespaces/${namespace}/pods/${name}/log?${query}`;
  return {
    async exec({ namespace, name }, command, stdin) {
      const query = new URLSearchParams({ stdout: 'true', stderr: 'true' });
      if (stdin !== undefined) query.set('stdin', 'true');
      for (const word of command) query.append('command', word);
      const url = new URL(
        `/api/v1/namespaces/${namespace}/pods/${name}/exec?${query}`,
        access.server,
      );
      const { ca, cert, key } = await access.credentials();
      const socket = new WebSocket(url, 'v5.channel.k8s.io', {
        ca,
        cert,
        key,
      } as WebSocket.ClientOptions);
      return conversation(socket, stdin);
    },
    async logs(pod, tailLines = 100) {
      const path = logPath(pod, `tailLines=${tailLines}`);
      return (await transport.exchange({ method: 'GET', path })).body;
    },
    async logLine(pod, look, { timeoutMs = TIMEOUT_MS, tailLines } = {}) {
      const found = new AbortController();
      const late = AbortSignal.timeout(timeoutMs);
      let answer: { value: NonNullable<ReturnType<typeof look>> } | undefined;
      let last = 'nothing';
      const onLine = (line: string): void => {
        last = line;
        const value = look(line);
        if (answer !== undefined || value === undefined || value === null) return;
        answer = { value };
        found.abort();
      };
      const tail = tailLines === undefined ? '' : `&tailLines=${tailLines}`;
      const path = logPath(pod, `follow=true${tail}`);
      const refused = await transport
        .lines(path, onLine, AbortSignal.any([found.signal, late]))
        .catch((error: unknown) => {
          if (answer === undefined && !late.aborted) throw error;
        });
      if (answer !== undefined) return answer.value;
      const why = late.aborted ? `within ${timeoutMs} ms` : 'before the log ended';
      throw new Error(
        `No awaited line in the log of ${pod.namespace}/${pod.name} ${why}; ${refused?.body ?? `the last was ${last}`}`,
      );
    },
  };
}

function conversation(socket: WebSocket, stdin: string | undefined): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const output = { [STDOUT]: '', [STDERR]: '', [ERROR]: '' };
  const timer = setTimeout(() => {
    reject(new Error(`The command did not end; it printed ${JSON.stringify(output)}`));
    socket.terminate();
  }, TIMEOUT_MS);
  socket.on('open', () => {
    if (stdin === undefined) return;
    socket.send(Buffer.concat([Buffer.from([STDIN]), Buffer.from(stdin)]));
    socket.send(Buffer.from([END, STDIN]));
  });
  socket.on('message', (message: Buffer) => {
    const channel = message[0] ?? END;
    if (channel === STDOUT || channel === STDERR || channel === ERROR) {
      output[channel] += message.toString('utf8', 1);
    }
  });
  socket.on('error', reject);
  socket.on('close', () => {
    clearTimeout(timer);
    const { [STDOUT]: stdout = '', [STDERR]: stderr = '', [ERROR]: error = '' } = output;
    try {
      resolve({ code: exitCode(error), stdout, stderr });
    } catch (cause) {
      reject(cause as Error);
    }
  });
  return promise;
}

/** @throws Error when the command could not be run at all */
function exitCode(text: string): number {
  const status = JSON.parse(text || '{}') as Status;
  if (status.status === 'Success') return 0;
  const code = status.details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message;
  if (code !== undefined) return Number(code);
  throw new Error(`The command was not run: ${status.message ?? 'no outcome was sent'}`);
}
