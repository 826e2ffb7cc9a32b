import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { inNamespaces } from '../../launch/test-support/in-namespaces.ts';
import type { ContainerSpec } from '../pod/pod-spec.ts';
import { isReady, openNode, type TestNode } from '../test-support/node.ts';
import { findProgram } from '../tools.ts';

const ECHO = `require('node:net').createServer((c) => c.pipe(c)).listen(7, '127.0.0.1')`;

function rule(name: string, run: (t: TestContext) => Promise<void>): void {
  void test(name, { timeout: 20_000 }, run);
}

async function nodeWith(t: TestContext, container: Partial<ContainerSpec>): Promise<TestNode> {
  const node = await openNode(t);
  const command = ['sleep', '1000'];
  await node.run('web', { containers: [{ name: 'main', image: 'host', command, ...container }] });
  await node.until('web', isReady);
  return node;
}

await inNamespaces(import.meta.url, () => {
  rule('only the API server is answered; health is open to all', async (t) => {
    const node = await openNode(t);
    assert.equal((await node.ask('/healthz', 'nobody')).status, 200);
    assert.equal((await node.ask('/pods', 'nobody')).status, 401);
    const person = await node.issue({ commonName: 'jane', organizations: ['people'] });
    assert.equal((await node.ask('/pods', person)).status, 403);
    assert.equal((await node.ask('/pods')).status, 200);
  });

  rule('what is not there is named', async (t) => {
    const node = await nodeWith(t, {});
    for (const [path, status, message] of [
      ['/containerLogs/demo/none/main', 404, /pod "demo\/none" is not on this node/],
      ['/containerLogs/demo/web/none', 404, /container "none" is not in pod "demo\/web"/],
      ['/containerLogs/demo/web/main?previous=true', 400, /previous terminated container/],
      ['/containerLogs/demo/web/main?tailLines=x', 400, /tailLines: "x"/],
      ['/exec/demo/web/main?command=ls', 400, /upgrade request/],
      ['/elsewhere', 404, /no such path/],
    ] as const) {
      const answer = await node.ask(path);
      assert.equal(answer.status, status, path);
      assert.match(answer.body, message);
    }
  });

  rule('a command has its streams, its exit code, and the container’s view', async (t) => {
    const node = await nodeWith(t, { env: [{ name: 'WHO', value: 'me' }], workingDir: '/run' });
    const command = ['sh', '-c', 'tr a-z A-Z; echo $WHO $PWD; hostname; echo oops >&2; exit 7'];
    const answer = await node.exec('web', 'main', { command, stdin: 'hello\n' });
    assert.equal(answer.stdout, 'HELLO\nme /run\nweb\n');
    assert.equal(answer.stderr, 'oops\n');
    assert.match(answer.status, /exit status 7/);
  });

  rule('a large output arrives whole', async (t) => {
    const node = await nodeWith(t, {});
    const command = ['sh', '-c', 'head -c 3000000 /dev/zero | tr "\\\\0" x'];
    const { stdout, status } = await node.exec('web', 'main', { command });
    assert.equal(stdout.length, 3_000_000);
    assert.match(status, /Success/);
  });

  rule('a command that does not exist fails, and the container lives on', async (t) => {
    const node = await nodeWith(t, {});
    const answer = await node.exec('web', 'main', { command: ['no-such-program'] });
    assert.match(answer.status, /"message":"127"/);
    assert.ok(isReady(await node.until('web', () => true)));
  });

  rule('a terminal is a terminal', async (t) => {
    if (findProgram('script') === undefined) {
      process.stderr.write('SKIPPED terminal of exec: "script" is not installed\n');
      return;
    }
    const node = await nodeWith(t, {});
    const answer = await node.exec('web', 'main', { command: ['tty'], tty: true });
    assert.match(answer.stdout, /^\/dev\/pts\/\d+\r\n/);
  });

  rule('a port-forward reaches what listens on the pod’s localhost', async (t) => {
    const node = await nodeWith(t, {
      command: [process.execPath, '-e', ECHO],
      readinessProbe: {
        exec: {
          command: [
            process.execPath,
            '-e',
            'require("node:net").connect(7, "127.0.0.1", () => process.exit(0)).on("error", () => process.exit(1))',
          ],
        },
        periodSeconds: 1,
        timeoutSeconds: 5,
      },
    });
    assert.equal(await node.forward('web', 7, 'hello'), 'hello');
  });
});
