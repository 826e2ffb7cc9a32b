import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { systemClock } from '../../runtime/clock.ts';
import { connectKubernetes } from '../../runtime/kubernetes/client.ts';
import { inform } from '../../runtime/kubernetes/informer.ts';
import type { ConfigMap } from '../../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS, NAMESPACES } from '../../runtime/kubernetes/resources.ts';
import { silentLog } from '../../runtime/log.ts';
import { startTestServer } from './test-server.ts';

describe("the components' own client", () => {
  test('lists, writes, applies and informs', async () => {
    await using server = await startTestServer();
    const client = await connectKubernetes({ kubeconfig: server.server.kubeconfigPath });
    const { items } = await client.list(NAMESPACES);
    assert.ok(items.some(({ metadata }) => metadata.name === 'default'));
    const informer = inform<ConfigMap>(
      { client, clock: systemClock, log: silentLog },
      CONFIG_MAPS,
      {
        namespace: 'default',
      },
    );
    await informer.synced;
    const seen: string[] = [];
    const { promise: finished, resolve } = Promise.withResolvers<void>();
    informer.subscribe(({ type, object }) => {
      seen.push(`${type} ${object.metadata.name}`);
      if (type === 'deleted') resolve();
    });
    const metadata = { name: 'a', namespace: 'default' };
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata };
    await client.create(CONFIG_MAPS, { ...body, data: { a: '1' } });
    await client.apply(
      CONFIG_MAPS,
      { ...body, data: { b: '2' } },
      { fieldManager: 'test', force: true },
    );
    await client.delete(CONFIG_MAPS, 'a', 'default');
    await finished;
    assert.deepEqual(seen, ['added a', 'modified a', 'deleted a']);
    await informer.close();
  });
});

describe('listening', () => {
  test('on a unix socket as well as on TCP', async () => {
    await using anchor = await startTestServer();
    const path = join(anchor.stateDir, 'api.sock');
    await using server = await startTestServer({
      listen: [{ path }, { host: '127.0.0.1', port: 0 }],
    });
    const socket = connectTls({ path, ca: server.server.caPem, servername: 'localhost' });
    await once(socket, 'secureConnect');
    socket.end('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(text, /ok$/);
  });

  test('on a taken port fails with the place it tried, and leaves nothing open', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    await assert.rejects(
      startTestServer({
        listen: [
          { host: '127.0.0.1', port: 0 },
          { host: '127.0.0.1', port },
        ],
      }),
      new RegExp(`Listening of the API server on .*${port}.*EADDRINUSE`),
    );
    taken.close();
    await once(taken, 'close');
  });
});
