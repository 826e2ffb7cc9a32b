// The tour: shows a newcomer the shop's traffic in clear text, puts its namespace into the mesh, and proves on the same
// link that nothing but TLS crosses it any more, with no connection dropped and no pod restarted. Every act asserts what
// it shows: a promise that does not hold ends the tour with an error that says which.

import { connectKubernetes, type KubeClient } from '../../runtime/kubernetes/client.ts';
import type { Tally } from '../apps/load/tally.ts';
import { installManifests } from '../install.ts';
import { captureLink } from '../link-service.ts';
import { ambit, type MeshView, meshView } from './cli.ts';
import {
  isAllEncrypted,
  type LinkEvidence,
  linkEvidence,
  type SeenPacket,
} from './link-evidence.ts';
import type { Report } from './report.ts';
import {
  losses,
  podIps,
  readShop,
  type ShopState,
  waitForDaemonSets,
  waitForDeployments,
} from './shop-state.ts';

export type TourSettings = {
  readonly kubeconfig: string;
  readonly linkSocket: string;
  readonly mode: 'netns' | 'loopback';
};

const SHOP = 'shop';
const SYSTEM = 'ambit-system';
const TLS_1_3 = 0x0304;
// Generous: a laptop under load starts fourteen processes in well under half of it.
const START_TIMEOUT_MS = 120_000;
const ENROL_TIMEOUT_MS = 60_000;
const CAPTURE_MS = 2000;
const WATCH_LINK_MS = 60_000;

/** @throws Error naming the promise that did not hold */
export async function tour(report: Report, settings: TourSettings): Promise<void> {
  const client = await connectKubernetes({ kubeconfig: settings.kubeconfig });
  report.heading('1. A cluster, a mesh, a shop');
  await report.step(
    'Waiting for the control plane, the CA and an agent on each node',
    async (note) => {
      const deadline = AbortSignal.timeout(START_TIMEOUT_MS);
      await waitForDeployments(client, SYSTEM, note, deadline);
      await waitForDaemonSets(client, SYSTEM, note, deadline);
    },
  );
  await report.step(
    'Opening the shop: web, cart, catalog, payments, and customers',
    async (note) => {
      const deadline = AbortSignal.timeout(START_TIMEOUT_MS);
      await installManifests(client, ['shop'], deadline);
      await waitForDeployments(client, SHOP, note, deadline);
    },
  );

  report.heading('2. What the link between the nodes carries today');
  const before = await clearTextOnLink(report, client, settings);

  report.heading('3. One label');
  report.show(`$ ambit namespace add ${SHOP}`);
  const enrolling = new AbortController();
  // from before the label on, so that the handshakes are seen
  const handshakes = captureLink(settings.linkSocket, WATCH_LINK_MS, enrolling.signal);
  report.show((await ambit(settings, ['namespace', 'add', SHOP])).stdout.trim());
  const view = await report.step('Enrolling the pods, one certificate each', (note) =>
    enrolled(settings, note),
  );

  report.heading('4. The same link now');
  const evidence = await encryptedLink(report, client, settings);
  enrolling.abort();
  await showHandshakes(report, client, (await handshakes).packets);
  report.show(
    `${evidence.segments} segments, ${evidence.bytes} bytes between the shop's pods:\n` +
      `${evidence.tunnelSegments} on port 15008, ${evidence.otherSegments} anywhere else, no readable line`,
  );

  report.heading('5. And nobody noticed');
  await nothingLost(report, client, before);
  await showStatus(report, settings, view);
  goOn(report, settings);
}

async function clearTextOnLink(
  report: Report,
  client: KubeClient,
  settings: TourSettings,
): Promise<ShopState> {
  const found = await report.step('Listening on the link', async () => {
    const ips = await podIps(client, SHOP);
    for (const end = performance.now() + WATCH_LINK_MS; performance.now() < end; ) {
      const { packets } = await captureLink(settings.linkSocket, CAPTURE_MS);
      const { clearText } = linkEvidence(packets, ips);
      if (clearText !== undefined) return clearText;
    }
    throw new Error(
      'The link between the nodes carried no readable request of the shop within a minute',
    );
  });
  report.say('   Anybody on that wire reads this:');
  report.show(`${at(found.source)} -> ${at(found.destination)}\n\n${printable(found.excerpt)}`);
  return readShop(client, SHOP);
}

async function enrolled(settings: TourSettings, note: (text: string) => void): Promise<MeshView> {
  let view = await meshView(settings);
  for (
    const end = performance.now() + ENROL_TIMEOUT_MS;
    performance.now() < end;
    view = await meshView(settings)
  ) {
    const shop = view.namespaces.find(({ name }) => name === SHOP);
    if (shop !== undefined) {
      note(`${shop.enrolled} of ${shop.pods}`);
      if (shop.mode === 'ambient' && shop.pods > 0 && shop.enrolled === shop.pods) return view;
    }
  }
  const why = view.problems.map(({ object, message }) => `${object}: ${message}`).join('; ');
  throw new Error(
    `Not all pods of the shop were enrolled within a minute. ${why || 'No problem was reported'}`,
  );
}

/** Connections opened before the label live to their natural end; within seconds all that is left is new. */
function encryptedLink(
  report: Report,
  client: KubeClient,
  settings: TourSettings,
): Promise<LinkEvidence> {
  return report.step('Listening again, once the old connections have ended', async (note) => {
    const ips = await podIps(client, SHOP);
    let evidence: LinkEvidence | undefined;
    for (const end = performance.now() + WATCH_LINK_MS; performance.now() < end; ) {
      const { packets } = await captureLink(settings.linkSocket, CAPTURE_MS);
      evidence = linkEvidence(packets, ips);
      note(`${evidence.tunnelSegments} segments in tunnels, ${evidence.otherSegments} outside`);
      if (isAllEncrypted(evidence)) return evidence;
    }
    const outside = evidence?.otherSegments ?? 0;
    throw new Error(
      `The link still carried ${outside} segments outside the tunnels a minute after the label`,
    );
  });
}

async function showHandshakes(
  report: Report,
  client: KubeClient,
  packets: readonly SeenPacket[],
): Promise<void> {
  const seen = linkEvidence(packets, await podIps(client, SHOP)).handshakes;
  const modern = seen.get(TLS_1_3) ?? 0;
  const others = [...seen].filter(([version]) => version !== TLS_1_3);
  if (modern === 0 || others.length > 0) {
    throw new Error(
      `The tunnels were not TLS 1.3: handshakes by version ${JSON.stringify([...seen])}`,
    );
  }
  report.show(`${modern} handshakes seen, all TLS 1.3, both sides with a certificate`);
}

async function nothingLost(report: Report, client: KubeClient, before: ShopState): Promise<void> {
  const text = await report.step('Comparing with before the label', async () => {
    const after = await readShop(client, SHOP);
    const lost = losses(before, after);
    if (lost.length > 0) throw new Error(`Something was lost on the way: ${lost.join('; ')}`);
    return (
      `${gained(before, after, ({ requests }) => requests.ok)} requests answered since the label, 0 failed\n` +
      `${after.tally.connections.opened} long-lived connections, 0 dropped, ` +
      `${gained(before, after, ({ messages }) => messages.echoed)} messages on them since, 0 wrong\n` +
      `${after.pods.size} pods, the same as before, 0 restarts`
    );
  });
  report.show(text);
}

function gained(before: ShopState, after: ShopState, count: (tally: Tally) => number): number {
  return count(after.tally) - count(before.tally);
}

async function showStatus(report: Report, settings: TourSettings, view: MeshView): Promise<void> {
  report.show('$ ambit status');
  const { stdout, code } = await ambit(settings, ['status']);
  report.show(stdout.trimEnd());
  if (code !== 0) throw new Error('ambit status says that the mesh is not healthy');
  if (
    view.workloads.some(
      ({ protocol, redirection }) => redirection === 'enabled' && protocol !== 'hbone',
    )
  ) {
    throw new Error('ambit status names an enrolled workload that is not reached by HBONE');
  }
}

function goOn(report: Report, settings: TourSettings): void {
  report.heading('Go on from here');
  report.show(
    [
      `export KUBECONFIG=${settings.kubeconfig}`,
      'kubectl get pods -n shop -o wide',
      'kubectl logs -n ambit-system daemonset/ambit-node-agent --tail 5     # one line a connection',
      'kubectl exec -n shop deployment/web -- cat /etc/resolv.conf',
      'kubectl label namespace shop ambit-mesh.io/mode-                     # out of the mesh again',
    ].join('\n'),
  );
}

function at(end: { readonly ip: string; readonly port: number }): string {
  return end.ip.includes(':') ? `[${end.ip}]:${end.port}` : `${end.ip}:${end.port}`;
}

/** What a terminal can show: other bytes become dots. */
function printable(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replaceAll(/[^\n\x20-\x7e]/g, '.')
    .trimEnd();
}
