// The names of a cluster (Kubernetes DNS-Based Service Discovery, schema 1.1.0), answered from a list of Services.
// Called by dns/server.ts. Pure. Invariant: a name that exists without the asked type is no error (NODATA), one that
// does not exist is NXDOMAIN, and a name outside the cluster's domain is none of ours.

/** A Service as the DNS needs it; the caller leaves out endpoints that are not to be published. */
export type ServiceRecord = {
  readonly namespace: string;
  readonly name: string;
  /** Empty for a headless Service. */
  readonly clusterIps: readonly string[];
  readonly externalName?: string;
  readonly ports: readonly {
    readonly name?: string;
    readonly protocol: 'TCP' | 'UDP';
    readonly port: number;
  }[];
  /** Needed for headless Services only. */
  readonly endpoints: readonly {
    readonly ip: string;
    readonly hostname?: string;
    /** Target ports by port name; without it a port's own number is given. */
    readonly ports?: Readonly<Record<string, number>>;
  }[];
};

export type NameAnswer =
  | { readonly type: 'A' | 'AAAA' | 'CNAME' | 'PTR'; readonly name: string; readonly data: string }
  | {
      readonly type: 'SRV';
      readonly name: string;
      readonly data: { readonly target: string; readonly port: number };
    };

export type NameResult =
  | {
      readonly kind: 'found';
      readonly answers: readonly NameAnswer[];
      readonly extra: readonly NameAnswer[];
    }
  | { readonly kind: 'no-data' }
  | { readonly kind: 'no-such-name' }
  | { readonly kind: 'not-ours' };

export const CLUSTER_DOMAIN = 'cluster.local';
const SERVICES = `svc.${CLUSTER_DOMAIN}`;

type Target = {
  readonly host: string;
  readonly ip: string;
  readonly port: (name: string, own: number) => number;
};

/** What a list of Services means as names; made once a change, asked once a query. */
export class Zone {
  readonly #services = new Map<string, ServiceRecord>();
  readonly #namespaces = new Set<string>();
  readonly #names = new Map<string, string>();

  constructor(records: readonly ServiceRecord[]) {
    for (const record of records) {
      this.#services.set(`${record.name}.${record.namespace}`, record);
      this.#namespaces.add(record.namespace);
      for (const ip of record.clusterIps) this.#names.set(reverseName(ip), fullName(record));
      for (const target of targets(record)) {
        if (record.clusterIps.length === 0) this.#names.set(reverseName(target.ip), target.host);
      }
    }
  }

  /** `name` without the final dot, in any case. */
  resolve(name: string, type: string): NameResult {
    const lower = name.toLowerCase();
    const reverse = this.#names.get(lower);
    if (reverse !== undefined) {
      return type === 'PTR' ? found([{ type: 'PTR', name, data: reverse }]) : { kind: 'no-data' };
    }
    if (lower === CLUSTER_DOMAIN || lower === SERVICES) return { kind: 'no-data' };
    if (!lower.endsWith(`.${CLUSTER_DOMAIN}`)) return { kind: 'not-ours' };
    if (!lower.endsWith(`.${SERVICES}`)) return { kind: 'no-such-name' };
    const labels = lower.slice(0, -SERVICES.length - 1).split('.');
    return this.#resolveService(name, labels, type);
  }

  #resolveService(name: string, labels: readonly string[], type: string): NameResult {
    const namespace = labels.at(-1) ?? '';
    if (labels.length === 1) {
      return { kind: this.#namespaces.has(namespace) ? 'no-data' : 'no-such-name' };
    }
    const record = this.#services.get(`${labels.at(-2)}.${namespace}`);
    if (record === undefined) return { kind: 'no-such-name' };
    const [first, second] = labels;
    if (labels.length === 2) return answerService(name, record, type);
    if (labels.length === 3) return answerHost(name, record, first ?? '', type);
    if (
      labels.length === 4 &&
      first?.startsWith('_') === true &&
      second?.startsWith('_') === true
    ) {
      return answerPort(name, record, { port: first.slice(1), protocol: second.slice(1) }, type);
    }
    return { kind: 'no-such-name' };
  }
}

function answerService(name: string, record: ServiceRecord, type: string): NameResult {
  if (record.externalName !== undefined) {
    return found([{ type: 'CNAME', name, data: record.externalName }]);
  }
  if (type === 'SRV') return found(...servers(name, record, record.ports));
  const ips =
    record.clusterIps.length > 0
      ? record.clusterIps
      : record.endpoints.map((endpoint) => endpoint.ip);
  // a headless Service without endpoints has no name yet
  if (ips.length === 0) return { kind: 'no-such-name' };
  return found(ips.map((ip) => address(name, ip)).filter((answer) => answer.type === type));
}

function answerHost(name: string, record: ServiceRecord, host: string, type: string): NameResult {
  if (record.clusterIps.length > 0) return { kind: 'no-such-name' };
  const own = targets(record).filter((target) => target.host.split('.')[0] === host);
  if (own.length === 0) return { kind: 'no-such-name' };
  return found(
    own.map((target) => address(name, target.ip)).filter((answer) => answer.type === type),
  );
}

function answerPort(
  name: string,
  record: ServiceRecord,
  wanted: { port: string; protocol: string },
  type: string,
): NameResult {
  const ports = record.ports.filter(
    (port) => port.name === wanted.port && port.protocol.toLowerCase() === wanted.protocol,
  );
  if (ports.length === 0) return { kind: 'no-such-name' };
  return type === 'SRV' ? found(...servers(name, record, ports)) : { kind: 'no-data' };
}

/** SRV answers and the addresses of their targets. */
function servers(
  name: string,
  record: ServiceRecord,
  ports: ServiceRecord['ports'],
): [NameAnswer[], NameAnswer[]] {
  const answers: NameAnswer[] = [];
  const extra: NameAnswer[] = [];
  for (const target of targets(record)) {
    extra.push(address(target.host, target.ip));
    if (answers.some((answer) => answer.type === 'SRV' && answer.data.target === target.host))
      continue;
    for (const port of ports) {
      const number = target.port(port.name ?? '', port.port);
      answers.push({ type: 'SRV', name, data: { target: target.host, port: number } });
    }
  }
  return [answers, extra];
}

/** Who answers for a Service: itself by its cluster IPs, or each endpoint by a name of its own. */
function targets(record: ServiceRecord): Target[] {
  if (record.clusterIps.length > 0) {
    return record.clusterIps.map((ip) => ({ host: fullName(record), ip, port: (_, own) => own }));
  }
  return record.endpoints.map((endpoint) => ({
    host: `${endpoint.hostname ?? endpoint.ip.replaceAll(/[.:]/g, '-')}.${fullName(record)}`,
    ip: endpoint.ip,
    port: (name, own) => endpoint.ports?.[name] ?? own,
  }));
}

function fullName(record: ServiceRecord): string {
  return `${record.name}.${record.namespace}.${SERVICES}`;
}

function address(name: string, ip: string): NameAnswer {
  return { type: ip.includes(':') ? 'AAAA' : 'A', name, data: ip };
}

function found(answers: readonly NameAnswer[], extra: readonly NameAnswer[] = []): NameResult {
  return answers.length === 0 ? { kind: 'no-data' } : { kind: 'found', answers, extra };
}

/** `4.3.2.1.in-addr.arpa`; IPv6 addresses have no reverse names here. */
function reverseName(ip: string): string {
  return `${ip.split('.').toReversed().join('.')}.in-addr.arpa`;
}
