// What a person means by FROM and TO of a connection, looked up in an agent's snapshot as the pod itself would look it up.
// Called by commands/explain.ts. Pure.

import { type IpAddress, type IpPort, isIpv6, parseIp } from '../../mesh/address.ts';
import { resolveName } from '../../mesh/names.ts';
import type { Service } from '../../mesh/service.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import type { Workload } from '../../mesh/workload.ts';
import { CommandFailure } from '../exit.ts';

export type Destination = {
  readonly to: IpPort;
  /** How the words led to the address, for people. */
  readonly resolution: string;
};

/** `[NAMESPACE/]NAME` of a pod, or of what made it (then one of its pods). @throws CommandFailure */
export function findSource(text: string, namespace: string, snapshot: Snapshot): Workload {
  const name = qualified(text.replace(/^pods?\//, ''), namespace);
  const found = findPod(name, snapshot);
  if (found !== undefined) return found;
  throw new CommandFailure(
    `Cannot find pod "${name.name}" in namespace "${name.namespace}": kubectl get pods -n ${name.namespace}`,
  );
}

/**
 * `IP[:PORT]`, a service's name as the pod would write it (`cart`, `cart.shop`, a host name), or `[NAMESPACE/]POD`, each
 * with `:PORT`; without a port when there is only one. @throws CommandFailure
 */
export function findDestination(text: string, source: Workload, snapshot: Snapshot): Destination {
  const { host, port } = splitPort(text);
  const ip = readIp(host);
  if (ip !== undefined) return toAddress(ip, port, source, snapshot);
  const service = host.includes('/') ? undefined : byName(host, source, snapshot);
  if (service !== undefined)
    return { ...service, to: withPort(service.ip, port, service.ports, text) };
  const name = qualified(host.replace(/^pods?\//, ''), source.namespace);
  const pod = findPod(name, snapshot);
  const [address] = pod?.addresses ?? [];
  if (pod === undefined || address === undefined) {
    throw new CommandFailure(
      `Cannot find "${host}": neither a service that ${source.namespace}/${source.name} could resolve, nor a pod ${name.namespace}/${name.name} with an address`,
    );
  }
  const to = withPort(address, port, portsOf(pod), text);
  return { to, resolution: `pod ${pod.namespace}/${pod.name} has address ${address}` };
}

function toAddress(
  ip: IpAddress,
  port: number | undefined,
  source: Workload,
  snapshot: Snapshot,
): Destination {
  const service = snapshot.serviceByVip(source.network, ip, source.namespace);
  const workload = snapshot.workloadByIp(source.network, ip);
  const ports = service?.ports.map(({ servicePort }) => servicePort) ?? portsOf(workload);
  const owner =
    service !== undefined
      ? `it is an address of service ${service.hostname}`
      : workload !== undefined
        ? `it is the address of ${workload.namespace}/${workload.name}`
        : 'the mesh does not know it';
  return { to: withPort(ip, port, ports, ip), resolution: `${ip}: ${owner}` };
}

type Named = {
  readonly ip: IpAddress;
  readonly ports: readonly number[];
  readonly resolution: string;
};

function byName(host: string, source: Workload, snapshot: Snapshot): Named | undefined {
  const name = host.toLowerCase().replace(/\.$/, '');
  const place = { clusterDomain: clusterDomainOf(snapshot) };
  const families = source.addresses.some(isIpv6)
    ? (['ipv4', 'ipv6'] as const)
    : (['ipv4'] as const);
  for (const family of families) {
    const found = resolveName({ name, family }, source, snapshot, place);
    if (found.kind !== 'answer') continue;
    const [ip] = found.addresses;
    if (ip === undefined) continue;
    const { service } = found;
    const kind = service.vips.length > 0 ? 'service' : 'headless service';
    return {
      ip,
      ports: portsBehind(service),
      resolution: `"${host}" is ${kind} ${service.hostname}, resolved to ${ip}`,
    };
  }
  return undefined;
}

function portsBehind(service: Service): number[] {
  // a headless service's pods are addressed themselves, at their own ports
  return service.vips.length > 0
    ? service.ports.map(({ servicePort }) => servicePort)
    : service.ports.map(({ targetPort }) => targetPort).filter((port) => port !== 0);
}

/** Agents are told full names, so the cluster's own domain is what stands behind them. */
function clusterDomainOf(snapshot: Snapshot): string {
  for (const { name, namespace, hostname } of snapshot.services()) {
    const start = `${name}.${namespace}.svc.`;
    if (hostname.startsWith(start)) return hostname.slice(start.length);
  }
  return 'cluster.local';
}

function withPort(
  ip: IpAddress,
  port: number | undefined,
  known: readonly number[],
  text: string,
): IpPort {
  if (port !== undefined) return { ip, port };
  const ports = [...new Set(known)].sort((a, b) => a - b);
  const [only] = ports;
  if (ports.length === 1 && only !== undefined) return { ip, port: only };
  throw new CommandFailure(
    ports.length === 0
      ? `Say which port: ${text}:PORT`
      : `"${text}" has several ports (${ports.join(', ')}): say which one, e.g. ${text}:${ports[0]}`,
  );
}

function portsOf(workload: Workload | undefined): number[] {
  return [...(workload?.services.values() ?? [])]
    .flat()
    .map(({ targetPort }) => targetPort)
    .filter((port) => port !== 0);
}

type Name = { readonly namespace: string; readonly name: string };

function qualified(text: string, namespace: string): Name {
  const slash = text.indexOf('/');
  if (slash < 0) return { namespace, name: text };
  return { namespace: text.slice(0, slash), name: text.slice(slash + 1) };
}

function findPod({ namespace, name }: Name, snapshot: Snapshot): Workload | undefined {
  let member: Workload | undefined;
  for (const workload of snapshot.workloads()) {
    if (workload.namespace !== namespace) continue;
    if (workload.name === name) return workload;
    const better =
      member === undefined || (member.health !== 'healthy' && workload.health === 'healthy');
    if (workload.workloadName === name && better) member = workload;
  }
  return member;
}

function splitPort(text: string): { host: string; port: number | undefined } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d{1,5}))?$/.exec(text) ?? [
    undefined,
    undefined,
    text,
  ];
  const host = bracketed ?? plain ?? text;
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port < 1 || port > 65_535)) {
    throw new CommandFailure(`"${text}" names port ${port}: ports go from 1 to 65535`);
  }
  return { host, port };
}

function readIp(text: string): IpAddress | undefined {
  try {
    return parseIp(text);
  } catch {
    return undefined;
  }
}
