// All ServiceEntries and WorkloadEntries of the cluster at one moment: the services and workloads they are, which pods they
// select, and what their status shall say. Pure. Called by world.ts, once a translation.

import { type Service, serviceKey } from '../../mesh/service.ts';
import type { PortMapping, Workload } from '../../mesh/workload.ts';
import type { KubeObject, Pod } from '../../runtime/kubernetes/objects.ts';
import type { Problem } from '../../wire/status.ts';
import { assignAddresses } from './auto-address.ts';
import type { KnownService } from './endpoints.ts';
import { problemOfEntry, serviceEntryOutcome, workloadEntryOutcome } from './entry-outcomes.ts';
import type { Outcome } from './outcome.ts';
import { selects } from './selector.ts';
import { appProtocolOf, tcpPorts } from './service.ts';
import {
  hostsOf,
  hostsToAddress,
  inlineWorkloads,
  portsAt,
  type ServiceEntryObject,
  serviceOfHost,
  type TranslatedEntry,
} from './service-entry.ts';
import { trafficProblems } from './traffic.ts';
import { boundFindings, type Waypoints } from './waypoints.ts';
import {
  type EntryContext,
  entryWorkload,
  portAt,
  reachOf,
  type WorkloadEntryObject,
} from './workload-entry.ts';

export type EntryObjects = {
  readonly serviceEntries: Iterable<ServiceEntryObject>;
  readonly workloadEntries: Iterable<WorkloadEntryObject>;
};

type Memberships = ReadonlyMap<string, readonly PortMapping[]>;

export class Entries {
  readonly services: readonly Service[];
  /** Those written inside ServiceEntries, and the WorkloadEntries. */
  readonly workloads: readonly Workload[];
  readonly problems: readonly Problem[];
  readonly #entries: readonly TranslatedEntry[];
  readonly #selective: ReadonlyMap<string, readonly TranslatedEntry[]>;
  readonly #workloadEntries: readonly WorkloadEntryObject[];
  readonly #selected = new Map<TranslatedEntry, number>();

  constructor(
    objects: EntryObjects & {
      readonly namespaces: ReadonlyMap<string, KubeObject>;
      readonly waypoints: Waypoints;
    },
    kube: ReadonlyMap<string, KnownService>,
    context: EntryContext,
  ) {
    const { waypoints } = objects;
    this.#entries = translateEntries([...objects.serviceEntries].toSorted(byAge), kube, {
      ...context,
      namespaces: objects.namespaces,
      waypoints,
    });
    this.#selective = Map.groupBy(
      this.#entries.filter(({ object }) => object.spec?.workloadSelector !== undefined),
      ({ object }) => object.metadata.namespace ?? '',
    );
    this.#workloadEntries = [...objects.workloadEntries].toSorted(byAge);
    this.services = this.#entries.flatMap(({ services }) => services);
    this.workloads = [
      ...this.#entries.flatMap(({ inline }) => inline),
      ...this.#workloadEntries.flatMap((object) => {
        const workload = this.#workloadOf(object, kube, context);
        const { waypoint } = waypoints.ofWorkload(object);
        return workload === undefined ? [] : [{ ...workload, waypoint }];
      }),
    ];
    this.problems = this.#entries.flatMap((entry) => [
      ...trafficProblems('ServiceEntry', entry.object),
      ...problemOfEntry(entry),
    ]);
  }

  /** Of one ServiceEntry, by its hosts; undefined: there is none of that name. */
  servicesOf(namespace: string, name: string): readonly Service[] | undefined {
    return this.#entries.find(
      ({ object: { metadata } }) => metadata.namespace === namespace && metadata.name === name,
    )?.services;
  }

  /** What the pod serves of ServiceEntries whose selector picked it; counted for {@link outcomes}. */
  membershipsOf(pod: Pod): Memberships {
    return this.#membershipsOf(pod, {});
  }

  /** After every pod was asked about. */
  outcomes(): Outcome[] {
    return [
      ...this.#entries.map((entry) => serviceEntryOutcome(entry, this.#selected.get(entry) ?? 0)),
      ...this.#workloadEntries.map(workloadEntryOutcome),
    ];
  }

  #membershipsOf(
    object: KubeObject,
    own: NonNullable<WorkloadEntryObject['spec']>,
  ): Map<string, readonly PortMapping[]> {
    const found = new Map<string, readonly PortMapping[]>();
    for (const entry of this.#selective.get(object.metadata.namespace ?? '') ?? []) {
      const spec = entry.object.spec ?? {};
      const matchLabels = spec.workloadSelector?.labels ?? {};
      // an empty selector selects nothing: an entry for every pod of a namespace is hardly meant
      if (Object.keys(matchLabels).length === 0 || !selects({ matchLabels }, object)) continue;
      this.#selected.set(entry, (this.#selected.get(entry) ?? 0) + 1);
      for (const service of entry.services) found.set(serviceKey(service), portsAt(spec, own));
    }
    return found;
  }

  #workloadOf(
    object: WorkloadEntryObject,
    kube: ReadonlyMap<string, KnownService>,
    context: EntryContext,
  ): Workload | undefined {
    const { name = '', namespace = '' } = object.metadata;
    const spec = object.spec ?? {};
    const reach = reachOf(spec.address);
    if (reach === undefined) return undefined;
    // what a WorkloadEntry is selected by are the labels in its spec
    const labelled = { metadata: { namespace, labels: spec.labels ?? {} } };
    const services = this.#membershipsOf(labelled, spec);
    for (const { object: service, service: known } of kube.values()) {
      const matchLabels = service.spec.selector ?? {};
      if (known.namespace !== namespace || Object.keys(matchLabels).length === 0) continue;
      if (selects({ matchLabels }, labelled))
        services.set(serviceKey(known), kubePortsAt(service, spec));
    }
    const uid = `${context.cluster}/networking.istio.io/WorkloadEntry/${namespace}/${name}`;
    const sorted = new Map([...services].toSorted(([a], [b]) => (a < b ? -1 : 1)));
    return entryWorkload({ uid, name, namespace }, spec, reach, sorted, context);
  }
}

function translateEntries(
  objects: readonly ServiceEntryObject[],
  kube: ReadonlyMap<string, KnownService>,
  context: EntryContext & {
    readonly namespaces: ReadonlyMap<string, KubeObject>;
    readonly waypoints: Waypoints;
  },
): TranslatedEntry[] {
  const owners = new Map<string, string>();
  for (const { service } of kube.values()) {
    owners.set(serviceKey(service), `Service ${service.namespace}/${service.name}`);
  }
  const claimed = objects.map((object) => {
    const { name, namespace = '' } = object.metadata;
    const taken = new Map<string, string>();
    const hosts = hostsOf(object.spec ?? {}).filter((hostname) => {
      const key = serviceKey({ namespace, hostname });
      const owner = owners.get(key);
      if (owner === undefined) owners.set(key, `ServiceEntry ${namespace}/${name}`);
      else taken.set(hostname, owner);
      return owner === undefined;
    });
    return { object, hosts, taken };
  });
  const addresses = assignAddresses(
    claimed.flatMap(({ object, hosts }) => {
      const wanting = new Set(hostsToAddress(object));
      return hosts
        .filter((host) => wanting.has(host))
        .map((host) => ({
          key: addressKey(object, host),
          assigned: (object.status?.addresses ?? [])
            .filter((entry) => entry.host?.toLowerCase() === host)
            .map(({ value = '' }) => value),
        }));
    }),
  );
  return claimed.map(({ object, hosts, taken }) => {
    const wanting = new Set(hostsToAddress(object));
    const assigned = new Map(
      hosts
        .filter((host) => wanting.has(host))
        .map((host) => [host, addresses.get(addressKey(object, host))]),
    );
    const namespace = context.namespaces.get(object.metadata.namespace ?? '');
    const binding = context.waypoints.ofService(object, 'ServiceEntry');
    const { waypoint } = binding;
    const { waypoint: workloadWaypoint } = context.waypoints.ofWorkload(object);
    const services = hosts.map((host) =>
      serviceOfHost(object, host, assigned.get(host) ?? [], { ...context, namespace, waypoint }),
    );
    return {
      object,
      services,
      taken,
      assigned,
      inline: inlineWorkloads(object, services, { ...context, workloadWaypoint }),
      waypoint: boundFindings(object, binding),
    };
  });
}

function addressKey({ metadata }: KubeObject, host: string): string {
  return `${metadata.namespace}/${metadata.name}/${host}`;
}

/** The ports of a Kubernetes Service as a WorkloadEntry behind it serves them; a named one only where it says the number. */
function kubePortsAt(
  service: KnownService['object'],
  spec: NonNullable<WorkloadEntryObject['spec']>,
): PortMapping[] {
  return tcpPorts(service).flatMap((port) => {
    const { targetPort = port.port } = port;
    const name = typeof targetPort === 'string' ? targetPort : (port.name ?? '');
    const number = portAt(spec, {
      name,
      targetPort: typeof targetPort === 'number' ? targetPort : 0,
    });
    if (number === 0) return [];
    return [{ servicePort: port.port, targetPort: number, appProtocol: appProtocolOf(port) }];
  });
}

/** The older object wins, whichever replica looks. */
function byAge(a: KubeObject, b: KubeObject): number {
  const order = ({ metadata }: KubeObject): string =>
    `${metadata.creationTimestamp ?? ''} ${metadata.namespace}/${metadata.name}`;
  return order(a) < order(b) ? -1 : 1;
}
