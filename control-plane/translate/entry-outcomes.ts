// What the status of a ServiceEntry or WorkloadEntry shall say: whether it counts, what of it does not, and which addresses
// its hosts were given. Pure. Called by entries.ts.

import { SERVICE_ENTRIES, WORKLOAD_ENTRIES } from '../../runtime/kubernetes/resources.ts';
import type { Problem } from '../../wire/status.ts';
import type { Finding, Outcome } from './outcome.ts';
import {
  exportProblem,
  hostsOf,
  isWildcard,
  readRange,
  type ServiceEntrySpec,
  type TranslatedEntry,
  tcpEntryPorts,
  usableReach,
} from './service-entry.ts';
import { reachOf, type WorkloadEntryObject } from './workload-entry.ts';

/** `selected` counts the pods and WorkloadEntries its selector picked. */
export function serviceEntryOutcome(entry: TranslatedEntry, selected: number): Outcome {
  const { object, assigned, waypoint } = entry;
  const addresses = [...assigned].flatMap(([host, ips]) =>
    (ips ?? []).map((ip) => ({ value: ip, host })),
  );
  return {
    resource: SERVICE_ENTRIES,
    object,
    findings: [acceptance(entry), programmed(entry, selected), ...waypoint],
    ...(addresses.length === 0 && object.status?.addresses === undefined
      ? {}
      : { fields: { addresses } }),
  };
}

export function workloadEntryOutcome(object: WorkloadEntryObject): Outcome {
  const { address = '' } = object.spec ?? {};
  const usable = reachOf(address) !== undefined;
  const finding: Finding = usable
    ? { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'It can be an endpoint' }
    : {
        type: 'Accepted',
        status: 'False',
        reason: 'UnsupportedAddress',
        message: `Address "${address}" is neither an IP address nor a DNS name: nothing connects to it. Write one of these`,
      };
  return { resource: WORKLOAD_ENTRIES, object, findings: [finding] };
}

/** For `ambit status` and an Event: only what keeps a host from working at all. */
export function problemOfEntry(entry: TranslatedEntry): Problem[] {
  const { name, namespace } = entry.object.metadata;
  const found = acceptance(entry);
  if (found.status === 'True') return [];
  const problem: Problem = {
    object: `ServiceEntry ${namespace}/${name}`,
    reason: found.reason,
    message: found.message,
    remedy: `kubectl edit serviceentries.networking.ambit-mesh.io ${name} -n ${namespace}`,
  };
  return [problem];
}

function acceptance(entry: TranslatedEntry): Finding {
  const [first, ...others] = faults(entry);
  if (first === undefined) {
    return {
      type: 'Accepted',
      status: 'True',
      reason: 'Accepted',
      message: 'All of it is honoured',
    };
  }
  const message = [first, ...others].map((fault) => fault.message).join('. ');
  const dead = entry.services.length === 0;
  return {
    type: 'Accepted',
    status: dead || [first, ...others].some(({ fatal }) => fatal) ? 'False' : 'True',
    reason: first.reason,
    message,
  };
}

type Fault = { readonly reason: string; readonly message: string; readonly fatal: boolean };

/** Whatever of the entry has no effect, worst first. */
function faults({ object, taken, assigned }: TranslatedEntry): Fault[] {
  const { spec = {}, metadata } = object;
  const dead = (reason: string, message: string): Fault => ({ reason, message, fatal: true });
  const less = (reason: string, message: string): Fault => ({ reason, message, fatal: false });
  const unaddressed = [...assigned].flatMap(([host, ips]) => (ips === undefined ? [host] : []));
  const unread = (spec.addresses ?? []).filter((text) => readRange(text, '') === undefined);
  const hidden = exportProblem(spec.exportTo, metadata.namespace);
  const udp = tcpEntryPorts(spec).length < (spec.ports ?? []).length;
  return [
    ...[...taken].map(([host, owner]) =>
      dead('HostConflict', `Host ${host} belongs to ${owner} in this namespace already`),
    ),
    ...unaddressed.map((host) =>
      dead('NoAddressLeft', `No address is left for host ${host}: give it one`),
    ),
    ...unread.map((text) =>
      dead('UnsupportedAddress', `Address "${text}" is neither an IP address nor a range`),
    ),
    ...endpointFaults(spec).map(([reason, message]) => dead(reason, message)),
    ...(udp ? [less('UnsupportedProtocol', 'UDP ports are left out: the mesh carries TCP')] : []),
    ...(hidden === undefined ? [] : [less('UnsupportedExport', hidden)]),
  ];
}

function endpointFaults(spec: ServiceEntrySpec): [reason: string, message: string][] {
  const { resolution = 'NONE', endpoints = [] } = spec;
  const wanted = resolution === 'STATIC' ? 'IP addresses' : 'an IP address or a DNS name';
  const found = endpoints
    .filter((endpoint) => usableReach(endpoint, resolution) === undefined)
    .map(({ address = '' }): [string, string] => [
      'UnsupportedAddress',
      `Endpoint "${address}" is left out: ${resolution} needs ${wanted}`,
    ]);
  const byName = resolution === 'DNS' || resolution === 'DNS_ROUND_ROBIN';
  if (!byName || endpoints.length > 0 || spec.workloadSelector !== undefined) return found;
  const wild = hostsOf(spec).filter(isWildcard);
  return wild.map((host) => [
    'UnsupportedHost',
    `Host ${host} cannot be looked up: give it endpoints`,
  ]);
}

function programmed({ object, services, inline }: TranslatedEntry, selected: number): Finding {
  const { spec = {} } = object;
  const { resolution = 'NONE' } = spec;
  const type = 'Programmed';
  const hosts = `${services.length} ${services.length === 1 ? 'host' : 'hosts'}`;
  if (services.length === 0) {
    return {
      type,
      status: 'False',
      reason: 'NoHosts',
      message: 'None of its hosts is known to agents',
    };
  }
  if (resolution === 'NONE') {
    const unseen = services.every(({ vips }) => vips.length === 0)
      ? '; without addresses they cannot be told from other connections'
      : '';
    const message = `Agents know ${hosts}; connections go where they were going${unseen}`;
    return { type, status: 'True', reason: 'Programmed', message };
  }
  if (tcpEntryPorts(spec).length === 0) {
    const message = `Agents know ${hosts}, without a port: connections fail`;
    return { type, status: 'False', reason: 'NoPorts', message };
  }
  const endpoints = inline.length + selected;
  if (endpoints === 0) {
    const message = `Agents know ${hosts}, without an endpoint: connections fail`;
    return { type, status: 'False', reason: 'NoEndpoints', message };
  }
  const message = `Agents know ${hosts}, with ${endpoints} ${endpoints === 1 ? 'endpoint' : 'endpoints'}`;
  return { type, status: 'True', reason: 'Programmed', message };
}
