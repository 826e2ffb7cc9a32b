// Follows Services and EndpointSlices and hands what they mean to the network: service addresses (one proxy a node, part
// of its kubelet) and the names of the cluster's DNS (once a cluster). Each change leads to one new whole table.

import type { Clock } from '../../runtime/clock.ts';
import type { KubeClient } from '../../runtime/kubernetes/client.ts';
import { type Informer, inform } from '../../runtime/kubernetes/informer.ts';
import type { EndpointSlice, Service } from '../../runtime/kubernetes/objects.ts';
import { ENDPOINT_SLICES, SERVICES } from '../../runtime/kubernetes/resources.ts';
import type { Log } from '../../runtime/log.ts';
import type { ClusterNetwork, NodeNetwork } from '../network/network.ts';
import { type ApiServerEndpoint, apiServerRules, withApiServer } from './api-server-endpoint.ts';
import { type ServiceObjects, serviceRecords, serviceRules } from './service-table.ts';

type Parts = { readonly client: KubeClient; readonly clock: Clock; readonly log: Log };

// A rollout changes many endpoints at once; a table this late is not noticed, and there are far fewer of them
const GATHER_MS = 20;
const RETRY_MS = 1000;

export function startServiceProxy(
  parts: Parts & { readonly network: NodeNetwork },
  settings: { readonly nodeName: string; readonly apiServer?: ApiServerEndpoint | undefined },
): { close(): Promise<void> } {
  const { network } = parts;
  const services = inform<Service>(parts, SERVICES);
  const slices = inform<EndpointSlice>(parts, ENDPOINT_SLICES);
  return follow(parts, { services, slices }, (current) => {
    const objects = { services: [...current.services], slices: [...current.slices] };
    return network.syncServices([
      ...serviceRules(withApiServer(objects, settings.apiServer), settings.nodeName),
      ...apiServerRules(objects, settings.apiServer),
    ]);
  });
}

/** Feeds the cluster's DNS; started once, beside the kubelets. */
export function startNameFeed(
  parts: Parts & { readonly network: Pick<ClusterNetwork, 'syncNames'> },
): { close(): Promise<void> } {
  const services = inform<Service>(parts, SERVICES);
  const slices = inform<EndpointSlice>(parts, ENDPOINT_SLICES);
  return follow(parts, { services, slices }, async (objects) => {
    parts.network.syncNames(serviceRecords(objects));
  });
}

type Informers = {
  readonly services: Informer<Service>;
  readonly slices: Informer<EndpointSlice>;
};

/** One `sync` at a time, with the newest objects; a failed one is tried again. Owns the informers. */
function follow(
  { clock, log }: Parts,
  { services, slices }: Informers,
  sync: (objects: ServiceObjects) => Promise<void>,
): { close(): Promise<void> } {
  const stop = new AbortController();
  let changed = Promise.withResolvers<void>();
  const onChange = (): void => changed.resolve();
  const unsubscribe = [services.subscribe(onChange), slices.subscribe(onChange)];
  stop.signal.addEventListener('abort', onChange, { once: true });

  async function run(): Promise<void> {
    // rejects only when closed before the first list came
    await Promise.all([services.synced, slices.synced]);
    while (!stop.signal.aborted) {
      changed = Promise.withResolvers();
      try {
        await sync({ services: services.items(), slices: slices.items() });
        if (stop.signal.aborted) return;
        await changed.promise;
        await clock.sleep(GATHER_MS, stop.signal);
      } catch (error) {
        if (stop.signal.aborted) return;
        log.warn('Cannot hand the Services to the network: trying again', { error });
        await clock.sleep(RETRY_MS, stop.signal).catch(() => {});
      }
    }
  }
  const running = run().catch(() => {});
  return {
    async close() {
      stop.abort(new Error('The service proxy is closing'));
      for (const stopTelling of unsubscribe) stopTelling();
      // ends a wait for a first list that never came
      await Promise.all([services.close(), slices.close()]);
      await running;
    },
  };
}
