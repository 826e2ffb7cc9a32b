// ServiceEntries, WorkloadEntries and pods with few words, and what their translation says. Used by tests of entries.

import type { Pod } from '../../runtime/kubernetes/objects.ts';
import type { Outcome } from './outcome.ts';
import type { ServiceEntryObject, ServiceEntrySpec } from './service-entry.ts';
import { EMPTY_WORLD } from './test-world.ts';
import type { WorkloadEntryObject, WorkloadEntrySpec } from './workload-entry.ts';
import { type Translation, translate, type World } from './world.ts';

export const SETTINGS = {
  cluster: 'Kubernetes',
  network: '',
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  rootNamespace: 'ambit-system',
  outboundPolicy: 'allow-any' as const,
};
export const HTTP = { number: 80, name: 'http', protocol: 'HTTP' };
export const TLS = { number: 443, name: 'tls', protocol: 'TLS', targetPort: 8443 };

export function serviceEntry(
  spec: ServiceEntrySpec,
  {
    name = 'ext',
    age = '1',
    ...more
  }: { name?: string; age?: string } & Partial<ServiceEntryObject> = {},
): ServiceEntryObject {
  return {
    metadata: { name, namespace: 'shop', uid: `u-${name}`, creationTimestamp: age },
    spec: { ports: [HTTP], ...spec },
    ...more,
  };
}
export function workloadEntry(spec: WorkloadEntrySpec, name = 'vm'): WorkloadEntryObject {
  return { metadata: { name, namespace: 'shop', uid: `u-${name}` }, spec };
}
export function pod(name: string, labels: Record<string, string>, spec: object = {}): Pod {
  return {
    metadata: { name, namespace: 'shop', uid: `u-${name}`, labels },
    spec: { nodeName: 'n1', containers: [], ...spec },
    status: {
      phase: 'Running',
      podIP: '10.0.0.7',
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
}
export function run(world: Partial<World>): Translation {
  return translate(
    {
      ...EMPTY_WORLD,
      namespaces: new Map([['shop', { metadata: { name: 'shop' } }]]),
      nodes: new Map(),
      pods: [],
      services: [],
      endpointSlices: [],
      authorizationPolicies: [],
      peerAuthentications: [],
      requestAuthentications: [],
      gateways: [],
      serviceEntries: [],
      workloadEntries: [],
      ...world,
    },
    SETTINGS,
  );
}
export const ofOne = (spec: ServiceEntrySpec): Translation =>
  run({ serviceEntries: [serviceEntry(spec)] });

export function conditions(outcome: Outcome | undefined): string[] {
  return (outcome?.findings ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`);
}
export const vipsOf = (translation: Translation, host: string): string[] =>
  translation.services
    .filter(({ hostname }) => hostname === host)
    .flatMap(({ vips }) =>
      vips.map(({ ip, prefixLength }) =>
        prefixLength === undefined ? ip : `${ip}/${prefixLength}`,
      ),
    );
