// A peer that is nobody's node agent: run inside a pod, it opens TLS and one CONNECT to a tunnel port with whatever
// certificate it is given, and prints what came of it. Reads an Attempt as JSON from stdin; used by identity.test.ts.

import { connect as connectHttp2 } from 'node:http2';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';

export type Attempt = {
  readonly host: string;
  readonly certificate?: { readonly chainPem: string; readonly keyPem: string };
  readonly authority: string;
  /** Written into the stream once it is open. */
  readonly request: string;
};

/** `status` if the CONNECT was answered; `answer` is what came through the stream. */
export type Outcome =
  | { readonly status: number; readonly answer: string; readonly serverName: string }
  | { readonly refused: string };

const TUNNEL_PORT = 15008;
const TIMEOUT_MS = 15_000;

const attempt = JSON.parse(await text(process.stdin)) as Attempt;
process.stdout.write(`${JSON.stringify(await outcomeOf(attempt))}\n`);
process.exit();

function outcomeOf({ host, certificate, authority, request }: Attempt): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const refuse = (error?: NodeJS.ErrnoException): void =>
    resolve({ refused: error?.code ?? error?.message ?? 'closed' });
  setTimeout(() => resolve({ refused: `nothing within ${TIMEOUT_MS} ms` }), TIMEOUT_MS);
  const tls = connect({
    host,
    port: TUNNEL_PORT,
    ALPNProtocols: ['h2'],
    minVersion: 'TLSv1.3',
    // what the other end proves is looked at by the test; here only what it accepts
    rejectUnauthorized: false,
    ...(certificate === undefined ? {} : { cert: certificate.chainPem, key: certificate.keyPem }),
  });
  tls.on('error', refuse);
  tls.on('close', () => refuse());
  tls.on('secureConnect', () => {
    const serverName = tls.getPeerX509Certificate()?.subjectAltName ?? '';
    const session = connectHttp2('https://tunnel', { createConnection: () => tls });
    session.on('error', refuse);
    const stream = session.request({ ':method': 'CONNECT', ':authority': authority });
    let answer = '';
    let status = 0;
    stream.on('error', refuse);
    stream.setEncoding('utf8');
    stream.on('response', (headers) => {
      status = Number(headers[':status']);
    });
    stream.on('data', (chunk: string) => {
      answer += chunk;
    });
    stream.on('end', () => {
      if (status > 0) resolve({ status, answer, serverName });
    });
    stream.end(request);
  });
  return promise;
}
