// How the API server reaches the kubelet of a node: its address from the Node object, mutual TLS, one connection a request.
// As on a real cluster by default, the kubelet's own certificate is not checked: it may have signed it itself.

import { isIPv6 } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { KeyPair } from '../auth/certificates.ts';
import { type Cluster, NODES, readObject } from '../cluster.ts';
import { badRequest, notFound, StatusError } from '../errors.ts';
import { isRecord, listAt, recordAt, stringAt } from '../object.ts';

export type KubeletAddress = {
  readonly node: string;
  readonly host: string;
  readonly port: number;
};

export interface KubeletDialer {
  addressOf(nodeName: string): KubeletAddress;
  /** @throws StatusError 503 naming node and address when it cannot be reached */
  dial(address: KubeletAddress, signal: AbortSignal): Promise<TLSSocket>;
}

/** A node of the same machine answers at once; a dead one should not hold kubectl for long. */
const DIAL_TIMEOUT_MS = 10_000;
const DEFAULT_PORT = 10_250;

export function createKubeletDialer(cluster: Cluster, client: KeyPair): KubeletDialer {
  return {
    addressOf(nodeName) {
      const node = readObject(cluster, NODES, nodeName);
      if (node === undefined) throw notFound(NODES, nodeName);
      const addresses = listAt(node['status'], 'addresses').filter(isRecord);
      const address =
        addresses.find((entry) => entry['type'] === 'InternalIP') ??
        addresses.find((entry) => entry['type'] === 'Hostname');
      const host = stringAt(address, 'address');
      if (host === undefined) {
        throw badRequest(
          `node "${nodeName}" has no InternalIP in its status yet: wait until its kubelet has registered`,
        );
      }
      const endpoint = recordAt(recordAt(node['status'], 'daemonEndpoints'), 'kubeletEndpoint');
      const port = Number(endpoint['Port'] ?? DEFAULT_PORT);
      return { node: nodeName, host, port };
    },
    dial(address, signal) {
      return new Promise((resolve, reject) => {
        const socket = connectTls({
          host: address.host,
          port: address.port,
          cert: client.certPem,
          key: client.keyPem,
          rejectUnauthorized: false,
          ALPNProtocols: ['http/1.1'],
        });
        const fail = (error: Error): void => {
          timeout.cancel();
          signal.removeEventListener('abort', abort);
          socket.destroy();
          reject(unreachable(address, error));
        };
        const abort = (): void => fail(new Error('the request was cancelled'));
        const timeout = cluster.clock.timer(DIAL_TIMEOUT_MS, () =>
          fail(new Error(`no answer within ${DIAL_TIMEOUT_MS} ms`)),
        );
        signal.addEventListener('abort', abort, { once: true });
        socket.once('error', fail);
        socket.once('secureConnect', () => {
          timeout.cancel();
          signal.removeEventListener('abort', abort);
          socket.off('error', fail);
          // whoever takes the socket adds its own listener; this one keeps a late error from ending the process
          socket.on('error', () => socket.destroy());
          resolve(socket);
        });
      });
    },
  };
}

export function urlOf({ host, port }: KubeletAddress): string {
  return `https://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

export function unreachable(address: KubeletAddress, error: Error): StatusError {
  return new StatusError(
    503,
    'ServiceUnavailable',
    `error dialing the kubelet of node "${address.node}" at ${urlOf(address)}: ${error.message}: check that the node is running`,
  );
}
