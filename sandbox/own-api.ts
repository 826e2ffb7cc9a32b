// A sandbox's own API server, with what its kubelets need of it. Called by cluster.ts.

import { join } from 'node:path';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { startApiServer } from './apiserver/start.ts';
import { type ClusterApi, connectInside, insideUrl } from './cluster-api.ts';
import type { OwnApi } from './launch/inner.ts';
import type { ClusterNetwork } from './network/network.ts';

export async function startOwnApi(
  parts: { readonly clock: Clock; readonly log: Log; readonly network: ClusterNetwork },
  settings: OwnApi & { readonly stateDir: string },
): Promise<ClusterApi> {
  const { network, clock, log } = parts;
  const api = await startApiServer(
    { log: log.child({ part: 'apiserver' }), clock },
    {
      listen: [network.apiServer, { path: settings.socketPath }],
      advertise: [{ host: '127.0.0.1', port: settings.port }, network.apiServer],
      endpoint: network.apiServer,
      serviceCidrs: [...network.serviceCidrs],
      stateDir: join(settings.stateDir, 'apiserver'),
    },
  );
  try {
    return {
      client: await connectInside(network, api.kubeconfigPath),
      kubeconfigPath: api.kubeconfigPath,
      caPem: api.caPem,
      async kubeletSettings(node) {
        const { certPem, keyPem } = await api.issueCertificate({
          commonName: `system:node:${node.name}`,
          organizations: ['system:nodes'],
          hosts: [node.name, ...node.addresses],
        });
        return {
          serving: { certPem, keyPem, clientCaPem: api.caPem },
          apiServerUrl: insideUrl(network),
        };
      },
      leaving: async () => {},
      nodeEnded: async () => {},
      close: () => api.close(),
    };
  } catch (error) {
    await api.close();
    throw error;
  }
}
