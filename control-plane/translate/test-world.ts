// A cluster with nothing in it: what tests of the translation start from.

import type { World } from './world.ts';

export const EMPTY_WORLD: World = {
  namespaces: new Map(),
  nodes: new Map(),
  pods: [],
  services: [],
  endpointSlices: [],
  authorizationPolicies: [],
  peerAuthentications: [],
  requestAuthentications: [],
  extensionProviders: undefined,
  serviceEntries: [],
  workloadEntries: [],
  gateways: [],
  gatewayClasses: new Map(),
  httpRoutes: [],
  grpcRoutes: [],
  tlsRoutes: [],
  tcpRoutes: [],
  referenceGrants: [],
  trafficPolicies: [],
};
