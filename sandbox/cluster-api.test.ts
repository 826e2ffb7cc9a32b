import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { NODES } from '../runtime/kubernetes/resources.ts';
import { startTestServer, type TestServer } from './apiserver/test-server.ts';
import { connectInside } from './cluster-api.ts';

describe('connectInside() checks who answers, though it dials another address', () => {
  let server: TestServer;
  let directory: string;
  before(async () => {
    server = await startTestServer({ serviceCidrs: ['10.43.0.0/16'] });
    directory = await mkdtemp(join(tmpdir(), 'ambit-inside-'));
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  async function list(serverName: string | undefined): Promise<number> {
    const path = join(directory, 'kubeconfig');
    await copyFile(server.server.kubeconfigPath, path);
    const network = { apiServer: { host: '127.0.0.1', port: server.server.port ?? 0 } };
    const name = serverName === undefined ? undefined : (): string => serverName;
    const client = await connectInside(network, path, name);
    return (await client.list(NODES)).items.length;
  }

  for (const name of ['kubernetes.default.svc', '10.43.0.1', undefined]) {
    test(`${name ?? 'the address itself'}, which the certificate has`, async () => {
      assert.equal(await list(name), 0);
    });
  }

  for (const name of ['elsewhere.example', '192.0.2.9']) {
    test(`${name}, which the certificate does not have, is refused`, async () => {
      await assert.rejects(list(name), /does not match certificate's altnames/);
    });
  }

  test('a token file is read by the client library in the form it knows', async () => {
    const path = join(directory, 'with-token');
    const token = join(directory, 'token');
    await writeFile(token, 'nobody knows it\n');
    const cluster = {
      server: 'https://192.0.2.9',
      'certificate-authority': join(server.stateDir, 'ca.crt'),
    };
    const config = {
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user: { tokenFile: token } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    };
    await writeFile(path, JSON.stringify(config));
    const network = { apiServer: { host: '127.0.0.1', port: server.server.port ?? 0 } };
    const client = await connectInside(network, path, () => 'localhost');
    await assert.rejects(client.list(NODES), /Unauthorized \(401\)/);
  });
});
