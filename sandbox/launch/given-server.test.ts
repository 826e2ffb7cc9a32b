import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { checkReachable, readGivenServer } from './given-server.ts';

type Fields = Readonly<Record<string, unknown>>;

function kubeconfigFile(
  t: TestContext,
  parts: { readonly cluster?: Fields; readonly user?: Fields; readonly more?: Fields },
): string {
  const directory = mkdtempSync(join(tmpdir(), 'ambit-kubeconfig-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, 'pki'));
  writeFileSync(join(directory, 'pki', 'ca.crt'), 'the CA');
  const file = join(directory, 'config');
  const config = {
    clusters: [
      { name: 'other', cluster: { server: 'https://192.0.2.1' } },
      { name: 'c', cluster: { server: 'https://api.example:6443', ...parts.cluster } },
    ],
    users: [{ name: 'u', user: parts.user ?? {} }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
    ...parts.more,
  };
  writeFileSync(file, stringify(config));
  return file;
}

test('the current context alone is taken, with the files it names inside of it', (t) => {
  const file = kubeconfigFile(t, {
    cluster: { 'certificate-authority': 'pki/ca.crt' },
    user: { token: 'abc', tokenFile: 'pki/token' },
  });
  const { host, port, kubeconfig } = readGivenServer(file);
  assert.deepEqual([host, port], ['api.example', 6443]);
  const config = parse(kubeconfig) as {
    clusters: { cluster: Fields }[];
    users: { user: Fields }[];
  };
  assert.deepEqual(
    config.clusters.map(({ cluster }) => cluster),
    [
      {
        server: 'https://api.example:6443',
        'certificate-authority-data': Buffer.from('the CA').toString('base64'),
      },
    ],
  );
  assert.deepEqual(config.users[0]?.user, {
    token: 'abc',
    tokenFile: join(file, '..', 'pki', 'token'),
  });
});

test('an address may be IPv6, and the port the usual one', (t) => {
  const { host, port } = readGivenServer(
    kubeconfigFile(t, { cluster: { server: 'https://[2001:db8::1]' } }),
  );
  assert.deepEqual([host, port], ['2001:db8::1', 443]);
});

const REFUSED: readonly [string, Parameters<typeof kubeconfigFile>[1], RegExp][] = [
  [
    'a user that signs in by a program',
    { user: { exec: { command: 'aws' } } },
    /its user signs in through "exec", a program that is not run here; give it a client certificate or a token/,
  ],
  ['an old sign-in', { user: { 'auth-provider': { name: 'oidc' } } }, /through "auth-provider"/],
  ['a proxy', { cluster: { 'proxy-url': 'http://proxy' } }, /reached through "proxy-url"/],
  [
    'a server without TLS',
    { cluster: { server: 'http://api.example' } },
    /its server is "http:\/\/api.example": expected one that begins with https/,
  ],
  ['no current context', { more: { 'current-context': '' } }, /it has no current context/],
  ['a context that is not there', { more: { contexts: [] } }, /needs "x" under contexts/],
  ['a missing file', { cluster: { 'certificate-authority': 'gone.crt' } }, /ENOENT.*gone\.crt/],
];

for (const [what, parts, message] of REFUSED) {
  test(`refused, with the name of the file: ${what}`, (t) => {
    const file = kubeconfigFile(t, parts);
    assert.throws(
      () => readGivenServer(file),
      (error: Error) =>
        error.message.startsWith(`Cannot use the API server of ${file}: `) &&
        message.test(error.message),
    );
  });
}

test('a server that does not listen is named by its own address', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const given = { host: '127.0.0.1', port, kubeconfig: '' };
  await checkReachable(given);
  server.close();
  await once(server, 'close');
  await assert.rejects(
    checkReachable(given),
    new RegExp(`Cannot reach the API server at 127.0.0.1:${port}: .*ECONNREFUSED`),
  );
});

test('refused: a file that is not there, or no kubeconfig', (t) => {
  assert.throws(() => readGivenServer('/nowhere/config'), /of \/nowhere\/config: ENOENT/);
  const file = kubeconfigFile(t, {});
  writeFileSync(file, '');
  assert.throws(() => readGivenServer(file), /it has no current context/);
});
