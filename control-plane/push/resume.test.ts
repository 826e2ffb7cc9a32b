// An agent that starts while the control plane is away works from its disk, says so, and catches up by differences.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseIdentity } from '../../mesh/identity.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createDiscoveryClient } from '../../runtime/discovery-client.ts';
import { exposeDiscovery } from '../../runtime/discovery-metrics.ts';
import { silentLog } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { Readiness } from '../../runtime/readiness.ts';
import { encodeSaved } from '../../runtime/saved-snapshot.ts';
import { SnapshotStore } from '../../runtime/snapshot-store.ts';
import { createTestCa, type TestCa } from '../../tunnel/test-ca.ts';
import { decodeClientFrame, TYPE_NAMESPACE } from '../../wire/discovery.ts';
import { Store } from '../store.ts';
import { serveProxy } from './connection.ts';
import { servePush } from './serve.ts';

const OWN = parseIdentity('spiffe://cluster.local/ns/ambit-system/sa/ambit-control-plane');
const PLACE = { cluster: 'Kubernetes', node: 'n1' };
const AN_HOUR_MS = 3_600_000;

let folder: string;
let ca: TestCa;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ambit-resume-'));
  ca = await createTestCa();
  await writeFile(join(folder, 'root.pem'), ca.rootPem);
  await writeFile(join(folder, 'token'), 'token');
});
after(() => rm(folder, { recursive: true }));

const EMPTY = {
  workloads: [],
  services: [],
  policies: [],
  httpPolicies: [],
  requestAuthentications: [],
  routes: [],
  trafficPolicies: [],
  enrolments: [],
  trust: [],
};

/** A control plane that publishes these namespaces; what agents ask first is kept. */
async function controlPlane(port: number, namespaces: readonly string[]) {
  const store = new Store();
  store.publish({ ...EMPTY, namespaces: namespaces.map((name) => ({ name, mode: 'ambient' })) });
  const asked: ReadonlyMap<string, string>[] = [];
  const server = await servePush(
    {
      log: silentLog,
      admit: async () => ({
        kind: 'admitted',
        proxy: { kind: 'agent', node: 'n1', pod: 'agent-1' },
      }),
      onProxy: (agent, socket) => {
        socket.on('message', (data) => {
          const frame = decodeClientFrame(data as Buffer);
          if (frame.kind !== 'discovery' || frame.request.typeUrl !== TYPE_NAMESPACE) return;
          if (frame.request.nonce === '') asked.push(frame.request.initialVersions);
        });
        serveProxy(
          {
            clock: systemClock,
            log: silentLog,
            store,
            socket,
            onReport() {},
            onProgress() {},
            onTrust() {},
            counters: { sent() {}, acked() {}, nacked() {} },
          },
          agent,
        );
      },
    },
    { host: '127.0.0.1', port },
  );
  const { chainPem, keyPem, notAfter } = await ca.svid(OWN);
  server.use({ chainPem, keyPem, notAfter, rootsPem: ca.rootPem });
  return { server, asked, store };
}

test('a restart without the control plane works from disk, says so, and catches up by differences', async () => {
  const first = await controlPlane(0, ['kept', 'gone']);
  const { port } = first.server;
  const known = [...first.store.current.resources.get(TYPE_NAMESPACE)!.values()];
  await first.server.close();
  const path = join(folder, 'snapshot');
  const resources = new Map([[TYPE_NAMESPACE, known]]);
  const savedAt = systemClock.now() - AN_HOUR_MS;
  await writeFile(path, encodeSaved({ ...PLACE, savedAt, resources }));

  const parts = { clock: systemClock, log: silentLog };
  const store = new SnapshotStore(parts, { path, ...PLACE, maxAgeMs: 2 * AN_HOUR_MS });
  const client = createDiscoveryClient(
    { ...parts, store },
    {
      address: `127.0.0.1:${port}`,
      rootCertFile: join(folder, 'root.pem'),
      tokenFile: join(folder, 'token'),
      serverIdentity: OWN,
      clusterId: PLACE.cluster,
      nodeId: 'x',
      userAgent: 'node-agent/1',
    },
  );
  const metrics = new Metrics();
  const readiness = new Readiness();
  exposeDiscovery({ metrics, readiness }, client.record, () => client.saveFailures());

  await client.synced;
  assert.equal(client.snapshot().namespace('gone')?.mode, 'ambient');
  assert.match(readiness.report(), /snapshot: from disk, 36\d\d s old/);
  const away = await metrics.text();
  assert.match(away, /^ambit_snapshot_source\{source="disk"\} 1$/m);
  assert.match(away, /^ambit_discovery_stale_seconds 36\d\d/m);
  assert.match(away, /^istio_xds_connection_terminations_total\{reason="ConnectionError"\} 1$/m);

  const second = await controlPlane(port, ['kept', 'new']);
  await client.live;
  assert.deepEqual([...second.asked[0]!.keys()].toSorted(), ['gone', 'kept']);
  const snapshot = client.snapshot();
  assert.equal(snapshot.namespace('gone'), undefined);
  assert.equal(snapshot.namespace('kept')?.mode, 'ambient');
  assert.equal(snapshot.namespace('new')?.mode, 'ambient');
  assert.match(readiness.report(), /snapshot: from the control plane\n/);
  const back = await metrics.text();
  assert.match(back, /^ambit_discovery_stale_seconds 0$/m);
  assert.match(back, /^istio_xds_message_total\{url="[^"]*Namespace"\} 1$/m);
  await client.close();
  await second.server.close();
});
