// The mesh as its users see it: labels to set, annotations to wait for, what the link carries. Used by end-to-end tests.

import type { Pod } from '../../runtime/kubernetes/objects.ts';
import { NAMESPACES, PODS } from '../../runtime/kubernetes/resources.ts';
import {
  isAllEncrypted,
  type LinkEvidence,
  linkEvidence,
} from '../../sandbox/demo/link-evidence.ts';
import type { Sandbox } from './sandbox.ts';
import { waitFor } from './wait-for.ts';

export const MODE = 'ambit-mesh.io/mode';
export const REDIRECTION = 'ambit-mesh.io/redirection';
export const REDIRECTION_MESSAGE = 'ambit-mesh.io/redirection-message';

const LINK_TIMEOUT_MS = 60_000;
// one look at the link; long enough for every client of a test to have spoken
const LOOK_MS = 1500;

export async function labelNamespace(
  { client }: Sandbox,
  name: string,
  mode: string | null,
): Promise<void> {
  await client.patch(NAMESPACES, name, undefined, { metadata: { labels: { [MODE]: mode } } });
}

/** Waits until every pod of the namespace says so; undefined: says nothing. */
export function redirectionOfAll(
  { client }: Sandbox,
  namespace: string,
  state: 'enabled' | undefined,
): Promise<readonly Pod[]> {
  return waitFor<Pod>(client, PODS, { namespace }, (pods) =>
    pods.every(({ metadata }) => metadata.annotations?.[REDIRECTION] === state),
  );
}

export function podWhere(
  { client }: Sandbox,
  pod: { readonly namespace: string; readonly name: string },
  holds: (pod: Pod) => boolean,
): Promise<Pod> {
  const isIt = (one: Pod): boolean => one.metadata.name === pod.name && holds(one);
  return waitFor<Pod>(client, PODS, { namespace: pod.namespace }, (pods) => pods.some(isIt)).then(
    (pods) => pods.find(isIt)!,
  );
}

export async function podIps({ client }: Sandbox, namespace: string): Promise<ReadonlySet<string>> {
  const { items } = await client.list<Pod>(PODS, { namespace });
  return new Set(items.flatMap(({ status }) => (status?.podIPs ?? []).map(({ ip }) => ip)));
}

/** Looks at the link until all that these pods say to each other is in tunnels. @throws Error with what was not */
export async function allEncrypted(
  sandbox: Sandbox,
  ips: ReadonlySet<string>,
): Promise<LinkEvidence> {
  let evidence: LinkEvidence | undefined;
  for (const end = performance.now() + LINK_TIMEOUT_MS; performance.now() < end; ) {
    const { packets } = await sandbox.captureLink(LOOK_MS);
    evidence = linkEvidence(packets, ips);
    if (isAllEncrypted(evidence)) return evidence;
  }
  throw new Error(`The link still carried: ${JSON.stringify(evidence)}`);
}
