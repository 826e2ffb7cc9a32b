// What a client asks for in the query of an exec, attach or port-forward request.

export type ExecRequest = {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
};

/** The most ports one WebSocket can carry: two channels each, and a channel is one byte. */
const MAX_PORTS = 127;

export function parseExecRequest(query: URLSearchParams): ExecRequest {
  // the API server's names, and those of a kubelet's own API
  const asked = (...names: readonly string[]): boolean =>
    names.some((name) => ['true', '1'].includes(query.get(name) ?? ''));
  const tty = asked('tty');
  return {
    stdin: asked('stdin', 'input'),
    stdout: asked('stdout', 'output'),
    // a terminal has one output
    stderr: asked('stderr', 'error') && !tty,
    tty,
  };
}

/** `ports=80&ports=81` or `ports=80,81`; an API server asks a kubelet by `port`. @throws RangeError */
export function parsePorts(query: URLSearchParams): number[] {
  const ports = [...query.getAll('ports'), ...query.getAll('port')]
    .flatMap((value) => value.split(','))
    .map(parsePort);
  if (ports.length === 0 || ports.length > MAX_PORTS) {
    throw new RangeError(`Cannot forward ${ports.length} ports: give 1 to ${MAX_PORTS} in "ports"`);
  }
  return ports;
}

/** @throws RangeError */
export function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) {
    throw new RangeError(`Cannot forward port "${text}": expected a number from 1 to 65535`);
  }
  return port;
}
