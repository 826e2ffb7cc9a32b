// Service addresses as nft rules for one node's namespace: what kube-proxy does on a real node. Called by node.ts at
// every change of Services or EndpointSlices. Pure. Invariant: the text is one transaction that replaces our table whole.

import type { ServiceRule, ServiceRulePort } from '../network.ts';

/** On packets whose sender must see the answer come from this node: a pod that reached itself, a node port. */
const MASQUERADE_MARK = '0x4000';

type Family = {
  readonly name: 'ip' | 'ip6';
  readonly type: 'ipv4_addr' | 'ipv6_addr';
  readonly has: (ip: string) => boolean;
};

const FAMILIES: readonly Family[] = [
  { name: 'ip', type: 'ipv4_addr', has: (ip) => !ip.includes(':') },
  { name: 'ip6', type: 'ipv6_addr', has: (ip) => ip.includes(':') },
];

/**
 * Rules that stay as long as the node. The empty nat chains keep connection tracking hooked while the services' table
 * is replaced: without a nat chain the kernel forgets the translations of open connections.
 */
export function baseRules(): string {
  return `table inet ambit-node {
  chain prerouting { type nat hook prerouting priority -110; }
  chain output { type nat hook output priority -110; }
  chain postrouting { type nat hook postrouting priority 100;
    meta mark & ${MASQUERADE_MARK} == ${MASQUERADE_MARK} masquerade
  }
}
`;
}

export function serviceRules(table: readonly ServiceRule[]): string {
  const rules = new Rules();
  for (const service of table) {
    for (const port of service.ports) {
      for (const family of FAMILIES) rules.addPort(service, port, family);
    }
  }
  return rules.text();
}

class Rules {
  readonly #chains: string[] = [];
  readonly #vips = new Map<string, string[]>();
  readonly #addresses = new Map<string, Set<string>>();
  readonly #nodePorts = new Map<string, string[]>();
  readonly #refused = new Map<string, string[]>();

  addPort(service: ServiceRule, port: ServiceRulePort, family: Family): void {
    const ips = service.clusterIps.filter(family.has);
    const name = `${family.name}-${service.namespace}-${service.name}-${port.protocol.toLowerCase()}-${port.port}`;
    for (const ip of ips) addTo(this.#addresses, family.name, ip);
    const all = port.endpoints.filter((endpoint) => family.has(endpoint.ip));
    const endpoints = service.internalLocal ? all.filter((endpoint) => endpoint.local) : all;
    const protocol = port.protocol.toLowerCase();
    if (endpoints.length === 0) {
      // local only, with endpoints elsewhere: dropped, as on a real node; nothing anywhere: refused at once
      const verdict = all.length > 0 ? 'drop' : 'goto refuse';
      for (const ip of ips)
        push(this.#refused, family.name, `${ip} . ${protocol} . ${port.port} : ${verdict}`);
      return;
    }
    const chain = this.#addBalancer(name, service, endpoints, family, protocol);
    for (const ip of ips)
      push(this.#vips, family.name, `${ip} . ${protocol} . ${port.port} : goto ${chain}`);
    if (port.nodePort !== undefined) {
      // the endpoint may be elsewhere: its answer must come back through here
      this.#chains.push(
        `  chain node-${name} { meta mark set meta mark | ${MASQUERADE_MARK} goto ${chain}\n  }\n`,
      );
      push(this.#nodePorts, family.name, `${protocol} . ${port.nodePort} : goto node-${name}`);
    }
  }

  #addBalancer(
    name: string,
    service: ServiceRule,
    endpoints: ServiceRulePort['endpoints'],
    family: Family,
    protocol: string,
  ): string {
    // a stable order, so that the same set gives a client the same endpoint under session affinity
    const ordered = endpoints
      .map((endpoint) => ({ ...endpoint, text: target(endpoint, family) }))
      .toSorted((a, b) => (a.text < b.text ? -1 : 1));
    const choices = ordered.map((endpoint, index) => {
      const chain = `${name}-${index}`;
      this.#chains.push(
        `  chain ${chain} {
    ${family.name} saddr ${endpoint.ip} meta mark set meta mark | ${MASQUERADE_MARK}
    meta l4proto ${protocol} dnat ${family.name} to ${endpoint.text}
  }\n`,
      );
      return `${index} : goto ${chain}`;
    });
    const pick =
      service.sessionAffinityClientIp === undefined
        ? 'numgen random'
        : `jhash ${family.name} saddr`;
    this.#chains.push(
      `  chain ${name} { ${pick} mod ${choices.length}${pick.startsWith('jhash') ? ' seed 0x616d6269' : ''} vmap { ${choices.join(', ')} }\n  }\n`,
    );
    return name;
  }

  text(): string {
    const sections = FAMILIES.map((family) => this.#familySection(family));
    return `table inet ambit-services {}
delete table inet ambit-services
table inet ambit-services {
  chain refuse { meta l4proto tcp reject with tcp reset
    reject
  }
${this.#chains.join('')}${sections.map((section) => section.declarations).join('')}
  chain services {
${sections.map((section) => section.translations).join('')}  }
  chain unserved {
${sections.map((section) => section.refusals).join('')}  }
  chain prerouting { type nat hook prerouting priority -100; jump services
  }
  chain output { type nat hook output priority -100; jump services
  }
  chain forward { type filter hook forward priority 0; ct state new jump unserved
  }
  chain filter-output { type filter hook output priority 0; ct state new jump unserved
  }
}
`;
  }

  #familySection(family: Family): {
    declarations: string;
    translations: string;
    refusals: string;
  } {
    const vips = this.#vips.get(family.name) ?? [];
    const refused = this.#refused.get(family.name) ?? [];
    const nodePorts = this.#nodePorts.get(family.name) ?? [];
    const addresses = [...(this.#addresses.get(family.name) ?? [])];
    const key = `${family.type} . inet_proto . inet_service : verdict`;
    return {
      declarations:
        map(`vips-${family.name}`, key, vips) +
        map(`refused-${family.name}`, key, refused) +
        map(`node-ports-${family.name}`, 'inet_proto . inet_service : verdict', nodePorts) +
        set(`addresses-${family.name}`, family.type, addresses),
      translations:
        `    ${family.name} daddr . meta l4proto . th dport vmap @vips-${family.name}\n` +
        (nodePorts.length === 0
          ? ''
          : `    meta nfproto ${family.name === 'ip' ? 'ipv4' : 'ipv6'} fib daddr type local meta l4proto . th dport vmap @node-ports-${family.name}\n`),
      refusals:
        `    ${family.name} daddr . meta l4proto . th dport vmap @refused-${family.name}\n` +
        // an address of a Service at a port it does not have
        `    ${family.name} daddr @addresses-${family.name} goto refuse\n`,
    };
  }
}

function target(endpoint: { ip: string; port: number }, family: Family): string {
  return family.name === 'ip'
    ? `${endpoint.ip}:${endpoint.port}`
    : `[${endpoint.ip}]:${endpoint.port}`;
}

function map(name: string, type: string, elements: readonly string[]): string {
  return `  map ${name} { type ${type};${elementList(elements)} }\n`;
}

function set(name: string, type: string, elements: readonly string[]): string {
  return `  set ${name} { type ${type};${elementList(elements)} }\n`;
}

function elementList(elements: readonly string[]): string {
  return elements.length === 0 ? '' : ` elements = { ${elements.join(', ')} };`;
}

function push(lists: Map<string, string[]>, key: string, element: string): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [element]);
  else list.push(element);
}

function addTo(sets: Map<string, Set<string>>, key: string, element: string): void {
  const existing = sets.get(key);
  if (existing === undefined) sets.set(key, new Set([element]));
  else existing.add(element);
}
