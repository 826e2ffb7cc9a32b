// What a node agent decides by, as bytes for whoever explains its decisions: workloads, services and policies, in the form
// of discovery. Written by the agent's admin door (/snapshot), read by `ambit explain` and `ambit authz`. Pure.

import { policyKey } from '../mesh/policy.ts';
import { serviceKey } from '../mesh/service.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import { encodeService, encodeWorkload } from '../wire/address-resource.ts';
import { type Resource, TYPE_ADDRESS, TYPE_AUTHORIZATION } from '../wire/discovery.ts';
import { encodePolicy } from '../wire/policy-resource.ts';
import { DiscoveryState } from './discovery-state.ts';
import { decodeSaved, encodeSaved } from './saved-snapshot.ts';

/** It is nobody's to start from: a disk's snapshot names its node. */
const NOBODY = { cluster: '', node: '' } as const;

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
    [TYPE_ADDRESS, addresses],
  ]);
  return encodeSaved({ ...NOBODY, savedAt: now, resources });
}

/** @throws SavedSnapshotError naming what is wrong, e.g. the format of another version */
export function decodeShown(bytes: Buffer): Snapshot {
  const state = new DiscoveryState();
  state.restore(decodeSaved(bytes, NOBODY).resources);
  return state.snapshot;
}
