// The waypoint with the real control plane and ca around it. Called by main.ts only; what is inside is app.ts.

import { parseIdentity } from '../mesh/identity.ts';
import type { Clock } from '../runtime/clock.ts';
import { createDiscoveryClient } from '../runtime/discovery-client.ts';
import { INGRESS_TYPES, WAYPOINT_TYPES } from '../runtime/discovery-state.ts';
import { createIssuanceClient } from '../runtime/issuance-client.ts';
import type { Log } from '../runtime/log.ts';
import { VERSION } from '../runtime/version.ts';
import { startWaypoint, type WaypointSettings } from './app.ts';
import type { WaypointConfig } from './config.ts';

type Parts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly quit?: (why: string) => void;
};

export async function connectWaypoint(
  parts: Parts,
  config: WaypointConfig,
): Promise<{ close(): Promise<void> }> {
  const { trustDomain, namespace, tokenFile, rootCertFile, clusterId } = config;
  const { podName, podNamespace, serviceAccount, nodeName } = config;
  const identityOf = (place: string, account: string) =>
    parseIdentity(`spiffe://${trustDomain}/ns/${place}/sa/${account}`);
  const shared = { tokenFile, rootCertFile, clusterId };
  const ca = createIssuanceClient(parts, {
    ...shared,
    address: config.caAddress,
    serverIdentity: identityOf(namespace, 'ambit-ca'),
    moreRoots: () => discovery.roots(),
  });
  const discovery = createDiscoveryClient(parts, {
    ...shared,
    address: config.controlPlaneAddress,
    serverIdentity: identityOf(namespace, 'ambit-control-plane'),
    nodeId: `waypoint~${podName}.${podNamespace}~${nodeName}`,
    userAgent: `waypoint/${VERSION}`,
    types: config.kind === 'ingress' ? INGRESS_TYPES : WAYPOINT_TYPES,
  });
  const close = async (): Promise<void> => {
    await discovery.close();
    ca.close();
  };
  try {
    const waypoint = await startWaypoint(
      {
        ...parts,
        discovery,
        // its own, which the CA gives for the token alone
        issue: (_, csrPem, ttlSeconds, signal) => ca.issue({ csrPem, ttlSeconds }, signal),
      },
      {
        ...config,
        ...(config.kind === 'ingress' ? { ingress: ingressOf(config) } : {}),
        identity: identityOf(podNamespace, serviceAccount),
        workloadUid: `${clusterId}//Pod/${podNamespace}/${podName}`,
      },
    );
    return {
      async close() {
        await waypoint.stop();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function ingressOf(config: WaypointConfig): WaypointSettings['ingress'] {
  const { gateway, listenHost: host, trustedHops } = config;
  return { gateway, host, trustedHops };
}
