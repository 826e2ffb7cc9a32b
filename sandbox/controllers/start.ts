// The controllers of a cluster, all or some of them, over one shared set of watches. Called by the sandbox, also
// against a foreign API server that lacks some of them. Nothing is written before everything watched has been listed.

import type { Clock } from '../../runtime/clock.ts';
import type { KubeClient } from '../../runtime/kubernetes/client.ts';
import { inform } from '../../runtime/kubernetes/informer.ts';
import {
  CUSTOM_RESOURCE_DEFINITIONS,
  NAMESPACES,
  NODES,
  type Resource,
} from '../../runtime/kubernetes/resources.ts';
import type { Log } from '../../runtime/log.ts';
import { Caches } from './caches.ts';
import { daemonSets } from './daemon-set.ts';
import { deployments } from './deployment.ts';
import { disruptionBudgets } from './disruption-budget.ts';
import { endpointSlices } from './endpoint-slices.ts';
import { endpoints } from './endpoints.ts';
import { garbage } from './garbage.ts';
import { jobs } from './job.ts';
import { loadBalancers } from './load-balancers.ts';
import { namespaces } from './namespaces.ts';
import { nodeLifecycle } from './node-lifecycle.ts';
import type { CustomResourceDefinition, KubeObject } from './objects.ts';
import type { Controller } from './plan.ts';
import { RateBound } from './rate.ts';
import { replicaSets } from './replica-set.ts';
import { EPHEMERAL, keyOfResource, OWNABLE, resourceOf } from './resources.ts';
import { runController } from './runner.ts';
import { scheduler } from './scheduler.ts';
import { serviceAccounts } from './service-accounts.ts';
import { statefulSets } from './stateful-set.ts';

// enough to start a whole sandbox at once; a loop that writes for ever is slowed to what a laptop bears
const WRITES = { perSecond: 200, burst: 400 };
// a second chance for what a bug in an event mapping let slip
const RESYNC_MS = 10 * 60_000;

export type ControllerSettings = {
  /** The API server's CA, which every namespace publishes to its pods. */
  readonly caPem: string;
  /** Names of the controllers to run; all without it. */
  readonly only?: readonly string[];
};

export type Controllers = { close(): Promise<void> };

export function allControllers(settings: ControllerSettings): readonly Controller[] {
  return [
    scheduler(),
    deployments,
    replicaSets,
    daemonSets,
    statefulSets,
    jobs,
    endpointSlices,
    endpoints,
    serviceAccounts(settings),
    namespaces,
    garbage,
    disruptionBudgets,
    loadBalancers,
    nodeLifecycle,
  ];
}

export function startControllers(
  parts: { readonly client: KubeClient; readonly clock: Clock; readonly log: Log },
  settings: ControllerSettings,
): Controllers {
  const chosen = choose(allControllers(settings), settings.only);
  const caches = new Caches();
  const rate = new RateBound(parts, WRITES);
  const running = chosen.map((controller) => runController({ ...parts, caches, rate }, controller));
  const informers = new Map<string, { readonly synced: Promise<void>; close(): Promise<void> }>();
  let closed = false;

  function follow(resource: Resource): Promise<void> {
    const name = keyOfResource(resource);
    const known = informers.get(name);
    if (known !== undefined) return known.synced;
    const informer = inform<KubeObject & { metadata: { name: string } }>(parts, resource, {
      optional: true,
    });
    informers.set(name, informer);
    informer.subscribe(({ type, object, old }) => {
      if (type === 'deleted') caches.remove(resource, object);
      else caches.put(resource, object);
      if (resource === CUSTOM_RESOURCE_DEFINITIONS) defined(object as CustomResourceDefinition);
      for (const one of running) one.changed(type, resource, object, old);
    });
    // its absences count only once it has been listed
    return informer.synced.then(() => caches.watch(resource));
  }

  /** A new kind of object came with a definition: it can own and be owned like any other. */
  function defined(definition: CustomResourceDefinition): void {
    const resource = resourceOf(definition);
    if (resource === undefined || closed) return;
    follow(resource).catch(() => {
      // closed before it was listed: nothing more to follow
    });
  }

  let resync = parts.clock.timer(RESYNC_MS, again);
  function again(): void {
    for (const resource of caches.resources()) {
      for (const object of caches.list(resource)) {
        for (const one of running) one.changed('modified', resource, object);
      }
    }
    resync = parts.clock.timer(RESYNC_MS, again);
  }

  const started = Promise.all(resourcesFor(chosen).map(follow)).then(
    () => {
      parts.log.info('Controllers started', { controllers: chosen.map(({ name }) => name) });
      if (!closed) for (const one of running) one.start();
    },
    () => {
      // closed before the first list was complete
    },
  );
  return {
    async close() {
      closed = true;
      resync.cancel();
      await Promise.all([...informers.values()].map((informer) => informer.close()));
      await started;
      await Promise.all(running.map((one) => one.close()));
    },
  };
}

function choose(
  all: readonly Controller[],
  only: readonly string[] | undefined,
): readonly Controller[] {
  if (only === undefined) return all;
  const known = all.map(({ name }) => name);
  const unknown = only.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new RangeError(
      `Cannot start controllers ${unknown.join(', ')}: there are ${known.join(', ')}`,
    );
  }
  return all.filter(({ name }) => only.includes(name));
}

function resourcesFor(chosen: readonly Controller[]): readonly Resource[] {
  const named = chosen.flatMap(({ watches }) => watches.map(({ resource }) => resource));
  const everything = chosen.some((controller) => controller.everything !== undefined)
    ? [...OWNABLE, ...EPHEMERAL, NODES, NAMESPACES, CUSTOM_RESOURCE_DEFINITIONS]
    : [];
  const byName = new Map(
    [...named, ...everything].map((resource) => [keyOfResource(resource), resource]),
  );
  return [...byName.values()];
}
