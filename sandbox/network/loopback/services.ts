// Service rules as the table that the hook looks up at each connect. Called by node.ts. Pure.

import type { ServiceRule } from '../network.ts';
import type { ServiceTable, ServiceTarget } from './place.ts';

export function serviceTable(rules: readonly ServiceRule[]): ServiceTable {
  const ports: Record<string, ServiceTarget> = {};
  const nodePorts: Record<string, ServiceTarget> = {};
  for (const rule of rules) {
    for (const port of rule.ports) {
      const protocol = port.protocol.toLowerCase();
      const usable = port.endpoints.filter((endpoint) => !rule.internalLocal || endpoint.local);
      const target: ServiceTarget = {
        endpoints: usable.map((endpoint) => `${endpoint.ip}:${endpoint.port}`).toSorted(),
        affinity: rule.sessionAffinityClientIp !== undefined,
      };
      for (const ip of rule.clusterIps) ports[`${protocol}/${ip}:${port.port}`] = target;
      if (port.nodePort !== undefined) nodePorts[`${protocol}/${port.nodePort}`] = target;
    }
  }
  return { ports, nodePorts };
}
