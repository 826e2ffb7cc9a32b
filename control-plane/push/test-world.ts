// Small worlds to publish, and the words of an agent that subscribes to them. Used by tests of the session.

import assert from 'node:assert/strict';
import { parseIp } from '../../mesh/address.ts';
import { CAPTURE_EVERYTHING } from '../../mesh/capture-options.ts';
import type { GatewayListeners } from '../../mesh/gateway-listeners.ts';
import type { MeshNamespace } from '../../mesh/namespace.ts';
import type { AuthorizationPolicy } from '../../mesh/policy.ts';
import type { Route } from '../../mesh/route.ts';
import { workloadOf } from '../../mesh/test-arbitraries.ts';
import type { TrustBundle } from '../../mesh/trust.ts';
import type { Workload } from '../../mesh/workload.ts';
import {
  type DeltaRequest,
  type DeltaResponse,
  TYPE_ADDRESS,
  TYPE_AUTHORIZATION,
  TYPE_ENROLMENT,
  TYPE_NAMESPACE,
} from '../../wire/discovery.ts';
import { TYPE_TRUST } from '../../wire/trust-resource.ts';
import type { Store } from '../store.ts';
import { type Publication } from '../store.ts';
import type { PlacedEnrolment } from '../translate/world.ts';
import { Session } from './session.ts';

export function workload(name: string, changes: Partial<Workload> = {}): Workload {
  return workloadOf({
    uid: `Kubernetes//Pod/shop/${name}`,
    node: 'n1',
    addresses: [parseIp('10.0.0.1')],
    ...changes,
  });
}

export const policy = (name: string, dryRun = false): AuthorizationPolicy => ({
  name,
  namespace: 'shop',
  scope: 'namespace',
  action: 'deny',
  rules: [],
  dryRun,
});

export const enrolment = (podUid: string, node: string): PlacedEnrolment => ({
  node,
  enrolment: {
    podUid,
    workloadUid: `Kubernetes//Pod/shop/${podUid}`,
    name: podUid,
    namespace: 'shop',
    identity: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' },
    addresses: [parseIp('10.0.0.1')],
    capture: CAPTURE_EVERYTHING,
  },
});

export type World = {
  workloads?: readonly Workload[];
  policies?: readonly AuthorizationPolicy[];
  routes?: readonly Route[];
  namespaces?: readonly MeshNamespace[];
  enrolments?: readonly PlacedEnrolment[];
  trust?: readonly TrustBundle[];
  listeners?: readonly GatewayListeners[];
};

export function publish(store: Store, world: World): Publication {
  store.publish({
    workloads: [],
    services: [],
    policies: [],
    httpPolicies: [],
    requestAuthentications: [],
    routes: [],
    trafficPolicies: [],
    namespaces: [],
    enrolments: [],
    trust: [],
    ...world,
  });
  return store.current;
}

export const REQUEST: Omit<DeltaRequest, 'typeUrl'> = {
  node: undefined,
  subscribe: [],
  unsubscribe: [],
  initialVersions: new Map(),
  nonce: '',
  error: undefined,
};

export function subscribe(store: Store, node = 'n1'): Session {
  const session = new Session({ publication: store.current }, { node });
  for (const typeUrl of [
    TYPE_ADDRESS,
    TYPE_AUTHORIZATION,
    TYPE_ENROLMENT,
    TYPE_NAMESPACE,
    TYPE_TRUST,
  ]) {
    session.receive({ ...REQUEST, typeUrl });
  }
  return session;
}

/** Subscribed to everything; trust, which comes first, is acknowledged already. */
export function connect(store: Store, node = 'n1'): Session {
  const session = subscribe(store, node);
  ack(session, session.next());
  return session;
}

export function ack(session: Session, response: DeltaResponse | undefined, message?: string) {
  assert.ok(response);
  const { typeUrl, nonce } = response;
  const error = message === undefined ? undefined : { code: 3, message };
  return session.receive({ ...REQUEST, typeUrl, nonce, error });
}

export const names = (response: DeltaResponse | undefined) =>
  response?.resources.map(({ name }) => name);
