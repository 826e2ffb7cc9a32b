// The control plane's part in trust: follows what the CA publishes, tells agents, and while a root is rotated tells the
// CA what they and this replica itself have. Built by app.ts; it renews its own certificate when the root it is under
// leaves.

import type { Clock, Timer } from '../runtime/clock.ts';
import type { KubeClient } from '../runtime/kubernetes/client.ts';
import type { Log } from '../runtime/log.ts';
import type { OwnCertificate } from '../runtime/own-certificate.ts';
import { bundleId, fingerprintOf, rootOf, splitPem } from '../runtime/trust.ts';
import type { MeshTrust } from '../wire/rotation.ts';
import type { ProxyConnection } from './push/connection.ts';
import type { TrustSettings } from './translate/trust.ts';
import { TrustReportWriter } from './trust-reports.ts';
import { type TrustWatch, watchTrust } from './watch/trust.ts';

/** Replicas of the CA follow each other within a watch: a second asked is a second too early at most. */
const RENEW_AGAIN_MS = 2000;

export type FollowedTrust = TrustWatch & {
  /** An agent spoke of its trust, or left. */
  heard(): void;
  /** This replica's own certificate from now on. */
  holds(certificate: OwnCertificate): void;
  /** Registers what renews the own certificate at once. */
  renewNow(renew: () => void): void;
};

export function followTrust(
  parts: {
    readonly client: KubeClient;
    readonly clock: Clock;
    readonly log: Log;
    readonly proxies: () => readonly ProxyConnection[];
  },
  settings: TrustSettings & { readonly pod: string },
  onChange: () => void,
): FollowedTrust {
  let ownRoot: string | undefined;
  let renew = (): void => {};
  let again: Timer | undefined;

  const ownWord = (): MeshTrust[] => {
    const roots = splitPem(watch.rootsPem());
    if (ownRoot === undefined || roots.length === 0) return [];
    const { retiring = [] } = watch.rotation() ?? {};
    const bundle = bundleId(roots);
    return [{ pod: settings.pod, node: '', bundle, retiring, rootsInUse: [ownRoot] }];
  };
  const words = (): MeshTrust[] => [
    ...ownWord(),
    ...parts.proxies().flatMap(({ proxy, trust }) => {
      const report = trust();
      if (report === undefined) return [];
      const { bundle, retiring, rootsInUse } = report;
      // a pod of another namespace must not speak for one of ours
      const who =
        proxy.kind === 'agent'
          ? { pod: proxy.pod, node: proxy.node }
          : { pod: `${proxy.namespace}/${proxy.pod}`, node: '' };
      return [{ ...who, bundle, retiring, rootsInUse }];
    }),
  ];
  const isRotating = (): boolean => (watch.rotation()?.phase ?? 'steady') !== 'steady';
  const writer = new TrustReportWriter({ ...parts, isRotating, agents: words }, settings);

  const renewIfRetiring = (): void => {
    again?.cancel();
    const { retiring = [] } = watch.rotation() ?? {};
    if (ownRoot === undefined || !retiring.includes(ownRoot)) return;
    renew();
    // a replica of the CA that has not switched yet answers with the old root again
    again = parts.clock.timer(RENEW_AGAIN_MS, renewIfRetiring);
  };
  const watch = watchTrust(parts, settings, () => {
    renewIfRetiring();
    writer.poke();
    onChange();
  });

  return {
    ...watch,
    heard: () => writer.poke(),
    holds({ chainPem, rootsPem }) {
      const root = rootOf(splitPem(chainPem), splitPem(rootsPem));
      ownRoot = root === undefined ? undefined : fingerprintOf(root);
      renewIfRetiring();
      writer.poke();
    },
    renewNow: (run) => {
      renew = run;
    },
    async close() {
      again?.cancel();
      await writer.close();
      await watch.close();
    },
  };
}
