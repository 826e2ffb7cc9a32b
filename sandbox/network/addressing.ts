// The addresses of a sandbox whose nodes are network namespaces, and what both drivers give a pod as its resolv.conf. They live in namespaces of the sandbox's own, so they
// meet no address of the machine; the ranges are those a cluster made with kubeadm would have, for familiarity.
// Pure. Called by the netns driver.

export type FabricAddresses = {
  readonly fabric: readonly string[];
  readonly prefixes: readonly string[];
  readonly serviceCidrs: readonly string[];
  readonly dns: readonly string[];
};

/** RFC 4193 prefix: the letters a, m, b, i, t. */
const ULA = 'fd61:6d62:6974';

export const API_SERVER_PORT = 6443;
/** Node addresses end in 10 + number, pod ranges carry the number: one byte each. */
export const MAX_NODES = 200;
/** .0, .1 (the gateway) and .255 of the pod range are not given out. */
export const MAX_PODS_A_NODE = 253;

/** `ours`: Services get addresses of `serviceCidrs`. `foreign`: of somebody else's ranges, from which the DNS keeps away. */
export type ServiceAddresses = 'ours' | 'foreign';

export function fabricAddresses(
  ipv6: boolean,
  services: ServiceAddresses = 'ours',
): FabricAddresses {
  const both = (v4: string, v6: string): string[] => (ipv6 ? [v4, v6] : [v4]);
  return {
    fabric: both('172.30.0.1', `${ULA}::1`),
    prefixes: both('16', '64'),
    serviceCidrs: both('10.96.0.0/16', `${ULA}:f000::/112`),
    // link-local: no cluster can have made it a range for its Services
    dns:
      services === 'ours'
        ? both('10.96.0.10', `${ULA}:f000::a`)
        : both('169.254.20.10', `${ULA}:f001::a`),
  };
}

export type NodeAddresses = {
  readonly addresses: readonly string[];
  readonly podCidrs: readonly string[];
  /** The next hop of the node's pods: IPv4's is an address of the node, IPv6's a link-local one. */
  readonly gateways: readonly string[];
};

export function nodeAddresses(node: number, ipv6: boolean): NodeAddresses {
  const both = (v4: string, v6: string): string[] => (ipv6 ? [v4, v6] : [v4]);
  const host = 10 + node;
  return {
    addresses: both(`172.30.0.${host}`, `${ULA}::${host.toString(16)}`),
    podCidrs: both(`10.244.${node}.0/24`, `${ULA}:${podGroup(node)}::/64`),
    gateways: both(`10.244.${node}.1`, 'fe80::1'),
  };
}

export function podAddresses(node: number, pod: number, ipv6: boolean): string[] {
  const v4 = `10.244.${node}.${pod}`;
  return ipv6 ? [v4, `${ULA}:${podGroup(node)}::${pod.toString(16)}`] : [v4];
}

function podGroup(node: number): string {
  return (0x1000 + node).toString(16);
}

/**
 * Gives out the numbers `first..first+count-1`, the longest-free first: a pod's address is not taken over while
 * others may still believe it is the old pod's.
 */
export class Numbers {
  readonly #free: number[];
  readonly #what: string;

  constructor(settings: { first: number; count: number; what: string }) {
    this.#free = Array.from({ length: settings.count }, (_, index) => settings.first + index);
    this.#what = settings.what;
  }

  take(): number {
    const number = this.#free.shift();
    if (number === undefined)
      throw new RangeError(`Cannot give out another ${this.#what}: all are in use`);
    return number;
  }

  release(number: number): void {
    this.#free.push(number);
  }
}

/** Short names are looked for in the pod's own namespace first. */
export function searchDomains(namespace: string): string[] {
  return [`${namespace}.svc.cluster.local`, 'svc.cluster.local', 'cluster.local'];
}

/** Text of a pod's resolv.conf. */
export function resolvConf(namespace: string, servers: readonly string[]): string {
  return [
    ...servers.map((server) => `nameserver ${server}`),
    `search ${searchDomains(namespace).join(' ')}`,
    'options ndots:5',
    '',
  ].join('\n');
}
