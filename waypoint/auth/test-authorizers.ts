// Authorization services for tests: gRPC by gRPC's own library, HTTP by Node's, both on loopback, and the byte streams
// that lead to them.

import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { EXTERNAL_AUTHORIZATION_PROTO } from '../../wire/proto/external-authorization.ts';

const { root } = protobuf.parse(EXTERNAL_AUTHORIZATION_PROTO, { keepCase: false });
const REQUEST = root.lookupType('envoy.service.auth.v3.CheckRequest');
const RESPONSE = root.lookupType('envoy.service.auth.v3.CheckResponse');

/** As a service sees it, in the words of the protocol. */
export type SeenCheck = {
  attributes: {
    source: { address: { socketAddress: { address: string } }; principal: string };
    destination: { address: { socketAddress: { address: string; portValue: number } } };
    request: {
      http: {
        id: string;
        method: string;
        headers: Record<string, string>;
        path: string;
        host: string;
        scheme: string;
        protocol: string;
        body: string;
        rawBody: Buffer;
      };
    };
    tlsSession?: { sni: string };
  };
};

export type GrpcAnswer = (seen: SeenCheck, reply: sendUnaryData<object>) => void;

export type TestService = {
  readonly port: number;
  readonly dial: () => Promise<Socket>;
  /** Connections that were opened to it. */
  readonly dialled: () => number;
  close(): Promise<void>;
};

function dialler(port: number): Pick<TestService, 'port' | 'dial' | 'dialled'> & { end(): void } {
  const sockets: Socket[] = [];
  return {
    port,
    dial: () =>
      new Promise((resolve, reject) => {
        const socket = connect(port, '127.0.0.1', () => resolve(socket));
        socket.on('error', reject);
        sockets.push(socket);
      }),
    dialled: () => sockets.length,
    end: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

export async function serveGrpc(answer: GrpcAnswer): Promise<TestService> {
  const server = new Server();
  server.addService(
    {
      Check: {
        path: '/envoy.service.auth.v3.Authorization/Check',
        requestStream: false,
        responseStream: false,
        requestSerialize: (value: object) => Buffer.from(REQUEST.encode(value).finish()),
        requestDeserialize: (bytes: Buffer) =>
          REQUEST.toObject(REQUEST.decode(bytes), { defaults: true }),
        responseSerialize: (value: object) =>
          Buffer.from(RESPONSE.encode(RESPONSE.fromObject(value)).finish()),
        responseDeserialize: (bytes: Buffer) => RESPONSE.decode(bytes),
      },
    },
    {
      Check: (call: ServerUnaryCall<SeenCheck, object>, reply: sendUnaryData<object>) =>
        answer(call.request, reply),
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const way = dialler(port);
  return {
    ...way,
    close: async () => {
      way.end();
      server.forceShutdown();
    },
  };
}

export async function serveHttp(listener: RequestListener): Promise<TestService> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const way = dialler((server.address() as AddressInfo).port);
  return {
    ...way,
    close: () => {
      way.end();
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
