// One probe, run once: an HTTP request, a TCP connection, a command or a gRPC health check. Called by probes.ts and, for
// httpGet, by hooks.ts. Connections come from the node's own address. Never throws: a failure is a result with its reason.

import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type { Socket } from 'node:net';
import tls from 'node:tls';
import type { NodeNetwork } from '../../network/network.ts';
import { type ExecTarget, runInContainer } from '../container/container-exec.ts';
import type { ContainerSpec, HttpGetAction, ProbeSpec } from '../pod/pod-spec.ts';

export type ProbeResult = { readonly ok: true } | { readonly ok: false; readonly reason: string };

export type ProbeTarget = {
  readonly node: Pick<NodeNetwork, 'dial'>;
  readonly podIp: string;
  readonly container: ContainerSpec;
  readonly exec: ExecTarget;
};

// what of an answer's body goes into an event
const MAX_BODY_BYTES = 256;

export async function runProbe(
  probe: ProbeSpec,
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    if (probe.exec !== undefined) {
      const { code, output } = await runInContainer(target.exec, probe.exec.command ?? [], signal);
      if (signal.aborted) throw signal.reason;
      return code === 0 ? { ok: true } : { ok: false, reason: output || `exit code ${code}` };
    }
    if (probe.httpGet !== undefined) return await httpGet(probe.httpGet, target, signal);
    if (probe.tcpSocket !== undefined) {
      const { host = target.podIp, port } = probe.tcpSocket;
      const socket = await target.node.dial(host, portOf(port, target.container), signal);
      socket.destroy();
      return { ok: true };
    }
    if (probe.grpc !== undefined) return await grpcCheck(probe.grpc, target, signal);
    return { ok: false, reason: 'the probe has no action' };
  } catch (error) {
    const cause: unknown = signal.aborted ? signal.reason : error;
    return { ok: false, reason: cause instanceof Error ? cause.message : String(cause) };
  }
}

/** @throws RangeError when the container has no port of that name */
function portOf(port: number | string, container: ContainerSpec): number {
  if (typeof port === 'number') return port;
  const named = container.ports?.find(({ name }) => name === port);
  const number = named?.containerPort ?? Number(port);
  if (Number.isInteger(number)) return number;
  throw new RangeError(`container "${container.name}" has no port named "${port}"`);
}

/** 200 to 399 is success; redirects are not followed. */
export async function httpGet(
  action: HttpGetAction,
  target: Pick<ProbeTarget, 'node' | 'podIp' | 'container'>,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const host = action.host ?? target.podIp;
  const port = portOf(action.port, target.container);
  const dialed = await target.node.dial(host, port, signal);
  // a probe asks whether it answers, not who it is (as in Kubernetes)
  const socket =
    action.scheme === 'HTTPS' ? tls.connect({ socket: dialed, rejectUnauthorized: false }) : dialed;
  socket.on('error', () => {});
  dialed.on('error', () => {});
  const headers: Record<string, string> = { 'User-Agent': 'kube-probe/1.33', Accept: '*/*' };
  for (const { name, value } of action.httpHeaders ?? []) headers[name] = value;
  try {
    const request = http.request({
      createConnection: () => socket,
      host,
      port,
      path: action.path ?? '/',
      headers,
      signal,
    });
    // also heard by once(); this one is for what comes after a deadline
    request.on('error', () => {});
    request.end();
    const [response] = (await once(request, 'response', { signal })) as [http.IncomingMessage];
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 400) return { ok: true };
    const body = await firstBytes(response);
    return { ok: false, reason: `HTTP probe failed with statuscode: ${status}${body}` };
  } finally {
    socket.destroy();
    dialed.destroy();
  }
}

async function firstBytes(response: http.IncomingMessage): Promise<string> {
  const [chunk] = (await Promise.race([once(response, 'data'), once(response, 'end')])) as [
    Buffer | undefined,
  ];
  const text = chunk?.subarray(0, MAX_BODY_BYTES).toString().trim() ?? '';
  return text === '' ? '' : ` (${text})`;
}

/** HealthCheckResponse.ServingStatus of grpc.health.v1. */
const SERVING = 1;

async function grpcCheck(
  { port, service = '' }: { readonly port: number; readonly service?: string },
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const socket: Socket = await target.node.dial(target.podIp, port, signal);
  socket.on('error', () => {});
  const session = http2.connect('http://probe', { createConnection: () => socket });
  session.on('error', () => {});
  try {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => {});
    const aborted = (): void => {
      stream.destroy(signal.reason as Error);
    };
    signal.addEventListener('abort', aborted, { once: true });
    const name = Buffer.from(service);
    // HealthCheckRequest { string service = 1 }; a name is far shorter than the 127 bytes of a one-byte length
    const message = name.length === 0 ? name : Buffer.from([0x0a, name.length, ...name]);
    stream.end(Buffer.from([0, 0, 0, 0, message.length, ...message]));
    let status = '';
    const readStatus = (headers: http2.IncomingHttpHeaders): void => {
      status = String(headers['grpc-status'] ?? status);
    };
    stream.on('trailers', readStatus);
    stream.on('response', readStatus);
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of stream) chunks.push(chunk as Buffer);
    } finally {
      signal.removeEventListener('abort', aborted);
    }
    const answer = Buffer.concat(chunks).subarray(5);
    // HealthCheckResponse { ServingStatus status = 1 }
    const serving = answer[0] === 0x08 && answer[1] === SERVING;
    if (serving) return { ok: true };
    return {
      ok: false,
      reason: `service unhealthy (grpc-status ${status || 'none'}, serving status ${answer[1] ?? 0})`,
    };
  } finally {
    session.destroy();
    socket.destroy();
  }
}
