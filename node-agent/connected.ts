// The agent with the real control plane, ca and capture around it. Called by main.ts only; what is inside is app.ts.

import { join } from 'node:path';
import { parseIdentity, sameIdentity } from '../mesh/identity.ts';
import type { Clock } from '../runtime/clock.ts';
import { createDiscoveryClient } from '../runtime/discovery-client.ts';
import { createIssuanceClient } from '../runtime/issuance-client.ts';
import type { Log } from '../runtime/log.ts';
import { SnapshotStore } from '../runtime/snapshot-store.ts';
import { VERSION } from '../runtime/version.ts';
import { startAgent } from './app.ts';
import type { CaptureDriver } from './capture/capture.ts';
import { directorySource, procSource } from './capture/find-netns.ts';
import type { AgentConfig } from './config.ts';
import type { DnsSettings } from './dns/dns.ts';
import { podNameServers } from './dns/resolv-conf.ts';
import { Sandboxes } from './nri/sandboxes.ts';
import { hostResolver } from './resolve-host.ts';

type Parts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly quit?: (why: string) => void;
};

export async function connectAgent(
  parts: Parts,
  config: AgentConfig,
): Promise<{ stop(): Promise<void> }> {
  const { trustDomain, namespace, tokenFile, rootCertFile, clusterId } = config;
  const identityOf = (account: string) =>
    parseIdentity(`spiffe://${trustDomain}/ns/${namespace}/sa/${account}`);
  const ownIdentity = identityOf('ambit-node-agent');
  const { metricsTunnelDoor } = config;
  const shared = { tokenFile, rootCertFile, clusterId };
  const ca = createIssuanceClient(parts, {
    ...shared,
    address: config.caAddress,
    serverIdentity: identityOf('ambit-ca'),
    moreRoots: () => discovery.roots(),
  });
  const store = storeOf(parts, config);
  const discovery = createDiscoveryClient(
    { ...parts, store },
    {
      ...shared,
      address: config.controlPlaneAddress,
      serverIdentity: identityOf('ambit-control-plane'),
      nodeId: `node-agent~${config.podName}~${config.nodeName}`,
      userAgent: `node-agent/${VERSION}`,
    },
  );
  let capture: CaptureDriver | undefined;
  const close = async (): Promise<void> => {
    await discovery.close();
    ca.close();
    capture?.close();
  };
  const sandboxes = new Sandboxes();
  try {
    capture = await captureOf(parts, config, sandboxes);
    const agent = await startAgent(
      {
        ...parts,
        discovery,
        issue: (identity, csrPem, ttlSeconds, signal) =>
          // its own the CA gives for the token alone
          ca.issue(
            sameIdentity(identity, ownIdentity)
              ? { csrPem, ttlSeconds }
              : { identity, csrPem, ttlSeconds },
            signal,
          ),
        capture,
        sandboxes,
        resolveHost: hostResolver(config.dnsUpstream),
      },
      {
        ...config,
        dns: await dnsOf(parts, config),
        metricsTunnel: metricsTunnelDoor && {
          door: metricsTunnelDoor,
          identity: ownIdentity,
          podName: config.podName,
          workloadUid: `${clusterId}//Pod/${namespace}/${config.podName}`,
        },
      },
    );
    return {
      async stop() {
        await agent.stop();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function storeOf(parts: Parts, config: AgentConfig): SnapshotStore | undefined {
  const { stateDirectory, clusterId, nodeName, snapshotMaxAgeMs } = config;
  if (stateDirectory === undefined) return undefined;
  return new SnapshotStore(parts, {
    // the node's name: nodes of the sandbox share one file system
    path: join(stateDirectory, `snapshot-${nodeName}`),
    cluster: clusterId,
    node: nodeName,
    maxAgeMs: snapshotMaxAgeMs,
  });
}

/** The netns driver loads a native library, which loopback mode must not need. */
async function captureOf(
  parts: Parts,
  config: AgentConfig,
  sandboxes: Sandboxes,
): Promise<CaptureDriver> {
  if (config.capture === 'loopback') {
    const { loopbackCapture } = await import('./capture/loopback.ts');
    return loopbackCapture(parts, { directory: config.podDirectory });
  }
  const { netnsCapture } = await import('./capture/netns.ts');
  const sources = [sandboxes, directorySource(config.podDirectory), procSource()];
  return netnsCapture({
    ...parts,
    sources,
    // the agent lives on the host's network, as the kubelet does
    probesFrom: config.probeBypass ? '/proc/self/ns/net' : undefined,
  });
}

async function dnsOf(parts: Parts, config: AgentConfig): Promise<DnsSettings | undefined> {
  if (config.capture === 'loopback') {
    // its pods have no network namespace to capture a datagram in
    parts.log.info('The DNS of pods is not captured in loopback mode');
    return undefined;
  }
  const upstream = await podNameServers(parts, { configured: config.dnsUpstream });
  const { clusterDomain, preferredServiceNamespace: preferredNamespace } = config;
  return upstream && { clusterDomain, preferredNamespace, upstream };
}
