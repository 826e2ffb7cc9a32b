// Lets people outside the cluster's network look at the link between its nodes: a small HTTP server on a unix socket in
// the sandbox's directory, and its client. GET /link?ms=N answers with the TCP packets of the next N milliseconds.

import { createServer, get } from 'node:http';
import { type IpAddress, parseIp } from '../mesh/address.ts';
import type { ClusterNetwork } from './network/network.ts';

export type CapturedPacket = {
  readonly source: { readonly ip: IpAddress; readonly port: number };
  readonly destination: { readonly ip: IpAddress; readonly port: number };
  readonly protocol: string;
  readonly payload: Buffer;
};

export type LinkCaptureResult = {
  readonly packets: readonly CapturedPacket[];
  /** Packets that came faster than they could be kept. */
  readonly dropped: number;
};

/** Enough of a packet to see what it is; whole payloads of a busy link would only be copied about. */
const KEPT_PAYLOAD_BYTES = 1500;
const MAX_PACKETS = 100_000;
const MAX_CAPTURE_MS = 120_000;

export async function serveLink(
  network: Pick<ClusterNetwork, 'captureLink'>,
  socketPath: string,
): Promise<{ close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://sandbox');
    const ms = Number(url.searchParams.get('ms') ?? '1000');
    if (url.pathname !== '/link' || !(ms > 0 && ms <= MAX_CAPTURE_MS)) {
      response.writeHead(400).end(`Cannot answer: use /link?ms=1 to ${MAX_CAPTURE_MS}\n`);
      return;
    }
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    let kept = 0;
    let over = 0;
    const capture = network.captureLink(({ source, destination, protocol, payload }) => {
      if (protocol !== 'tcp') return;
      if (kept++ >= MAX_PACKETS) {
        over++;
        return;
      }
      const head = payload.subarray(0, KEPT_PAYLOAD_BYTES).toString('base64');
      response.write(`${JSON.stringify({ source, destination, protocol, payload: head })}\n`);
    });
    const end = (): void => {
      clearTimeout(timer);
      const dropped = capture.dropped() + over;
      capture.close();
      if (!response.destroyed) response.end(`${JSON.stringify({ dropped })}\n`);
    };
    const timer = setTimeout(end, ms);
    response.once('close', end);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Captures for `ms`, or until aborted: then with what was seen so far. */
export function captureLink(
  socketPath: string,
  ms: number,
  until?: AbortSignal,
): Promise<LinkCaptureResult> {
  return new Promise((resolve, reject) => {
    const packets: CapturedPacket[] = [];
    let dropped = 0;
    let rest = '';
    const read = (line: string): void => {
      const value = JSON.parse(line) as
        | { dropped: number }
        | (CapturedPacket & { payload: string });
      if ('dropped' in value) dropped = value.dropped;
      else packets.push(readPacket(value));
    };
    const request = get({ socketPath, path: `/link?ms=${ms}` }, (response) => {
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        lines.forEach(read);
      });
      response.on('close', () => resolve({ packets, dropped }));
      response.on('error', () => {});
    });
    request.on('error', (error) => {
      if (until?.aborted === true) resolve({ packets, dropped });
      else reject(error);
    });
    until?.addEventListener('abort', () => request.destroy(), { once: true });
  });
}

function readPacket(value: CapturedPacket & { payload: string }): CapturedPacket {
  const { source, destination, protocol } = value;
  return {
    source: { ip: parseIp(source.ip), port: source.port },
    destination: { ip: parseIp(destination.ip), port: destination.port },
    protocol,
    payload: Buffer.from(value.payload, 'base64'),
  };
}
