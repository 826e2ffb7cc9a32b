// One port of a service as this waypoint knows it: how busy, how healthy and how limited its endpoints are, and which of
// them takes the next try. Made by upstreams.ts; asked by forward.ts for each try. Invariant: accounts are kept of the
// service's members only, and what one policy's section counted is forgotten when that section is replaced.

import type { IpAddress } from '../../mesh/address.ts';
import { candidatesOf, type Endpoint } from '../../mesh/balance.ts';
import type { Service } from '../../mesh/service.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import { localizedService } from '../../mesh/traffic-defaults.ts';
import type { RequestBalancing, RetryPolicy, TrafficSettings } from '../../mesh/traffic-policy.ts';
import type { PortMapping, Workload } from '../../mesh/workload.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Balancer } from './balancing/balancer.ts';
import { EndpointLoads } from './balancing/endpoint-loads.ts';
import { makeBalancer } from './balancing/make-balancer.ts';
import { WarmUp } from './balancing/slow-start.ts';
import { Circuit } from './circuit.ts';
import { HealthChecker, type HealthEvent } from './health-check.ts';
import { OutlierDetector, type OutlierEvent, type TryResult } from './outlier.ts';
import { RetryBudget } from './retry-budget.ts';

export type UpstreamParts = {
  readonly clock: Clock;
  readonly random: () => number;
  readonly probe: (
    service: Service,
    port: PortMapping,
    uid: string,
    settings: NonNullable<TrafficSettings['healthChecks']>,
    signal: AbortSignal,
  ) => Promise<boolean>;
  /** Told of each endpoint that is let go of, or taken again. */
  readonly tell: (service: Service, event: OutlierEvent | HealthEvent) => void;
};

export type Choice = {
  readonly source: Workload;
  /** What the client addressed. */
  readonly destination: IpAddress;
  readonly balancing: RequestBalancing;
  /** Of a subset: only these workloads, by uid. */
  readonly subset: { readonly name: string; readonly uids: ReadonlySet<string> } | undefined;
};

/** Lists of candidates that are kept between two snapshots: subsets times families times policies. */
const MAX_LISTS = 256;

export class Upstream {
  readonly loads: EndpointLoads;
  readonly circuit: Circuit;
  readonly #parts: UpstreamParts;
  readonly #port: PortMapping;
  readonly #warmUp: WarmUp;
  readonly #balancers = new WeakMap<RequestBalancing, Map<string, Balancer>>();
  readonly #budgets = new WeakMap<RetryPolicy, RetryBudget>();
  readonly #lists = new Map<string, readonly Endpoint[]>();
  #listsOf: Snapshot | undefined;
  #service: Service;
  #settings: TrafficSettings;
  #members: readonly Workload[] = [];
  #outliers: OutlierDetector | undefined;
  #sweep: Timer | undefined;
  #health: HealthChecker | undefined;

  constructor(
    parts: UpstreamParts,
    service: Service,
    port: PortMapping,
    settings: TrafficSettings,
  ) {
    this.#parts = parts;
    this.#port = port;
    this.#service = service;
    this.#settings = settings;
    this.loads = new EndpointLoads(parts.clock);
    this.circuit = new Circuit(settings.connectionLimits);
    this.#warmUp = new WarmUp(settings.loadBalancing.slowStart, parts.clock);
    this.#watchOutliers();
    this.#checkHealth();
  }

  get settings(): TrafficSettings {
    return this.#settings;
  }

  /** What the service's own policies say, and who its members are now. */
  update(service: Service, settings: TrafficSettings, members: readonly Workload[]): void {
    const before = this.#settings;
    this.#service = service;
    this.#settings = settings;
    if (settings !== before) {
      this.circuit.update(settings.connectionLimits);
      this.#warmUp.update(settings.loadBalancing.slowStart);
      if (settings.outlierDetection !== before.outlierDetection) this.#watchOutliers();
      if (settings.healthChecks !== before.healthChecks) this.#checkHealth();
    }
    if (members === this.#members) return;
    this.#members = members;
    const uids = members.map(({ uid }) => uid);
    this.loads.setMembers(uids);
    this.#outliers?.setMembers(uids);
    this.#health?.setMembers(uids);
    this.#warmUp.setMembers(
      members.filter(({ health }) => health === 'healthy').map(({ uid }) => uid),
    );
  }

  /** All that may take a request now, ejected and unhealthy ones left out; all of them equally near. */
  candidates(choice: Choice, snapshot: Snapshot): readonly Endpoint[] {
    const all = this.#listed(choice, snapshot);
    const healthy =
      this.#health === undefined
        ? all
        : all.filter(({ workload }) => this.#health?.isHealthy(workload.uid) === true);
    // when no endpoint passes its check the checks may be what is broken: as with ejections, better all than none
    const checked = healthy.length > 0 ? healthy : all;
    return this.#outliers?.usable(checked, ({ workload }) => workload.uid) ?? checked;
  }

  /** `avoid`: tried before; undefined: there is nobody else. */
  pick(
    candidates: readonly Endpoint[],
    { balancing, subset }: Pick<Choice, 'balancing' | 'subset'>,
    how: { readonly hash: number | undefined; readonly avoid: ReadonlySet<string> },
  ): Endpoint | undefined {
    return this.#balancerFor(balancing, subset?.name ?? '').pick(candidates, how);
  }

  budget(policy: RetryPolicy): RetryBudget {
    const known = this.#budgets.get(policy);
    if (known !== undefined) return known;
    const budget = new RetryBudget(policy.budget, this.#parts.clock);
    this.#budgets.set(policy, budget);
    return budget;
  }

  record(uid: string, result: TryResult): void {
    const event = this.#outliers?.record(uid, result);
    if (event !== undefined) this.#parts.tell(this.#service, event);
  }

  close(): void {
    this.#sweep?.cancel();
    this.#health?.close();
  }

  #listed(choice: Choice, snapshot: Snapshot): readonly Endpoint[] {
    const { source, destination, balancing, subset } = choice;
    if (this.#listsOf !== snapshot || this.#lists.size >= MAX_LISTS) {
      this.#listsOf = snapshot;
      this.#lists.clear();
    }
    const key = `${destination} ${balancing.locality} ${subset?.name ?? ''}`;
    const known = this.#lists.get(key);
    if (known !== undefined) return known;
    const service = localizedService(this.#service, balancing);
    const all = candidatesOf({ source, service, port: this.#port, destination }, snapshot);
    const list =
      subset === undefined ? all : all.filter(({ workload }) => subset.uids.has(workload.uid));
    this.#lists.set(key, list);
    return list;
  }

  #balancerFor(balancing: RequestBalancing, subset: string): Balancer {
    let bySubset = this.#balancers.get(balancing);
    if (bySubset === undefined) {
      bySubset = new Map();
      this.#balancers.set(balancing, bySubset);
    }
    let balancer = bySubset.get(subset);
    if (balancer === undefined) {
      const { random } = this.#parts;
      balancer = makeBalancer(balancing, { loads: this.loads, warmUp: this.#warmUp, random });
      bySubset.set(subset, balancer);
    }
    return balancer;
  }

  #watchOutliers(): void {
    const policy = this.#settings.outlierDetection;
    this.#sweep?.cancel();
    if (policy === undefined) {
      this.#outliers = undefined;
      return;
    }
    const outliers = this.#outliers ?? new OutlierDetector(policy, this.#parts.clock);
    outliers.update(policy);
    outliers.setMembers(this.#members.map(({ uid }) => uid));
    this.#outliers = outliers;
    const sweep = (): void => {
      for (const event of outliers.sweep()) this.#parts.tell(this.#service, event);
      this.#sweep = this.#parts.clock.timer(policy.intervalMs, sweep);
    };
    this.#sweep = this.#parts.clock.timer(policy.intervalMs, sweep);
  }

  #checkHealth(): void {
    const checks = this.#settings.healthChecks;
    this.#health?.close();
    this.#health = undefined;
    if (checks === undefined) return;
    const { clock, random, probe } = this.#parts;
    this.#health = new HealthChecker(checks, {
      clock,
      random,
      probe: (uid, signal) => probe(this.#service, this.#port, uid, checks, signal),
      emit: (event) => this.#parts.tell(this.#service, event),
    });
    this.#health.setMembers(this.#members.map(({ uid }) => uid));
  }
}
