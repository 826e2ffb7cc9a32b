// A certificate authority over loopback that signs whatever it is asked for: what a control plane needs of one to serve. Used
// by tests of the whole control plane.

import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Identity } from '../mesh/identity.ts';
import type { TestCa } from '../tunnel/test-ca.ts';
import { type CertificateRequest, CREATE_CERTIFICATE } from '../wire/issuance.ts';

export type Authority = { readonly port: number; close(): void };

/** Signs for `own` what is asked for, and proves to be `serving`. */
export async function startAuthority(
  ca: TestCa,
  { own, serving }: { readonly own: Identity; readonly serving: Identity },
): Promise<Authority> {
  const svid = await ca.svid(serving);
  const server = new Server();
  server.addService(
    { CreateCertificate: CREATE_CERTIFICATE },
    {
      CreateCertificate: (
        call: { request: CertificateRequest },
        respond: (error: Error | null, response?: object) => void,
      ) => {
        ca.sign(call.request.csr, own).then(
          (leaf) => respond(null, { chain: [leaf, ca.rootPem] }),
          (error: Error) => respond(error),
        );
      },
    },
  );
  const pair = { private_key: Buffer.from(svid.keyPem), cert_chain: Buffer.from(svid.chainPem) };
  const secure = ServerCredentials.createSsl(null, [pair]);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', secure, (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { port, close: () => server.forceShutdown() };
}
