// What a proxy decides by, as bytes for whoever explains its decisions: workloads, services, policies and routes, in the
// form of discovery. Written by the admin doors of node agents and waypoints (/snapshot), read by `ambit explain` and
// `ambit authz`. Pure.

import { policyKey } from '../mesh/policy.ts';
import { routeKey } from '../mesh/route.ts';
import { serviceKey } from '../mesh/service.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import { encodeService, encodeWorkload } from '../wire/address-resource.ts';
import { type Resource, TYPE_ADDRESS, TYPE_AUTHORIZATION } from '../wire/discovery.ts';
import { encodeHttpPolicy, TYPE_HTTP_POLICY } from '../wire/http-policy-resource.ts';
import { encodePolicy } from '../wire/policy-resource.ts';
import {
  encodeRequestAuthentication,
  TYPE_REQUEST_AUTHENTICATION,
} from '../wire/request-authentication-resource.ts';
import { encodeRoute, TYPE_ROUTE } from '../wire/route-resource.ts';
import { DiscoveryState } from './discovery-state.ts';
import { decodeSaved, encodeSaved } from './saved-snapshot.ts';

/** It is nobody's to start from: a disk's snapshot names its node. */
const NOBODY = { cluster: '', node: '' } as const;

/** What is shown, of whichever proxy. */
const SHOWN = [
  TYPE_AUTHORIZATION,
  TYPE_HTTP_POLICY,
  TYPE_REQUEST_AUTHENTICATION,
  TYPE_ADDRESS,
  TYPE_ROUTE,
];

/** `now` is in unix milliseconds. */
export function encodeShown(snapshot: Snapshot, now: number): Buffer {
  const resource = (typeUrl: string, name: string, body: Uint8Array): Resource => {
    return { typeUrl, name, version: '', aliases: [], body };
  };
  const addresses = [
    ...[...snapshot.services()].map((service) =>
      resource(TYPE_ADDRESS, serviceKey(service), encodeService(service)),
    ),
    ...[...snapshot.workloads()].map((workload) =>
      resource(TYPE_ADDRESS, workload.uid, encodeWorkload(workload)),
    ),
  ];
  const policies = [...snapshot.policies()].map((policy) =>
    resource(TYPE_AUTHORIZATION, policyKey(policy), encodePolicy(policy)),
  );
  const resources = new Map([
    [TYPE_AUTHORIZATION, policies],
    [
      TYPE_HTTP_POLICY,
      [...snapshot.httpPolicies()].map((policy) =>
        resource(TYPE_HTTP_POLICY, policyKey(policy), encodeHttpPolicy(policy)),
      ),
    ],
    [
      TYPE_REQUEST_AUTHENTICATION,
      [...snapshot.requestAuthentications()].map((policy) =>
        resource(
          TYPE_REQUEST_AUTHENTICATION,
          policyKey(policy),
          encodeRequestAuthentication(policy),
        ),
      ),
    ],
    [TYPE_ADDRESS, addresses],
    [
      TYPE_ROUTE,
      [...snapshot.routes()].map((route) =>
        resource(TYPE_ROUTE, routeKey(route), encodeRoute(route)),
      ),
    ],
  ]);
  return encodeSaved({ ...NOBODY, savedAt: now, resources });
}

/** @throws SavedSnapshotError naming what is wrong, e.g. the format of another version */
export function decodeShown(bytes: Buffer): Snapshot {
  const state = new DiscoveryState({ types: SHOWN });
  state.restore(decodeSaved(bytes, NOBODY).resources);
  return state.snapshot;
}
