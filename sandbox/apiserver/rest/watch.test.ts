import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../../runtime/manual-clock.ts';
import { startTestServer, type TestServer } from '../test-server.ts';

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';

const create = (server: TestServer, name: string, labels: object = {}): Promise<unknown> =>
  server.call('POST', CONFIG_MAPS, { body: { metadata: { name, labels } } });

const relabel = (server: TestServer, name: string, labels: object): Promise<unknown> =>
  server.call('PATCH', `${CONFIG_MAPS}/${name}`, {
    type: 'application/merge-patch+json',
    body: { metadata: { labels } },
  });

describe('watch', () => {
  test('from a list on, every change comes once and in order', async () => {
    await using server = await startTestServer();
    await create(server, 'a');
    const { body } = await server.call('GET', CONFIG_MAPS);
    await create(server, 'b');
    const watch = await server.watch(
      `${CONFIG_MAPS}?watch=1&resourceVersion=${body.metadata.resourceVersion}`,
    );
    await relabel(server, 'a', { x: 'y' });
    await server.call('DELETE', `${CONFIG_MAPS}/b`);
    const seen = [await watch.next(), await watch.next(), await watch.next()];
    assert.deepEqual(
      seen.map(({ type, object }) => [type, object.metadata.name]),
      [
        ['ADDED', 'b'],
        ['MODIFIED', 'a'],
        ['DELETED', 'b'],
      ],
    );
    const versions = seen.map(({ object }) => Number(object.metadata.resourceVersion));
    assert.deepEqual(
      versions,
      [...versions].sort((a, b) => a - b),
    );
    watch.close();
  });

  test('an object that enters or leaves the selection is ADDED or DELETED', async () => {
    await using server = await startTestServer();
    await create(server, 'a', { color: 'blue' });
    const { body } = await server.call('GET', CONFIG_MAPS);
    const watch = await server.watch(
      `${CONFIG_MAPS}?watch=1&labelSelector=color%3Dred&resourceVersion=${body.metadata.resourceVersion}`,
    );
    await relabel(server, 'a', { color: 'red' });
    assert.equal((await watch.next()).type, 'ADDED');
    await relabel(server, 'a', { size: 'big' });
    assert.equal((await watch.next()).type, 'MODIFIED');
    await relabel(server, 'a', { color: 'green' });
    const left = await watch.next();
    assert.equal(left.type, 'DELETED');
    assert.equal(left.object.metadata.labels?.['color'], 'red');
    watch.close();
  });

  test('without a resourceVersion the present objects come first', async () => {
    await using server = await startTestServer();
    await create(server, 'a');
    const watch = await server.watch(`${CONFIG_MAPS}?watch=true`);
    assert.equal((await watch.next()).object.metadata.name, 'a');
    watch.close();
  });

  test('a version that is too old is 410 before the stream begins', async () => {
    await using server = await startTestServer({ historyLimit: 4 });
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) await create(server, name);
    const answer = await server.call('GET', `${CONFIG_MAPS}?watch=1&resourceVersion=2`);
    assert.equal(answer.status, 410);
    assert.equal(answer.body.reason, 'Expired');
    assert.match(answer.body.message, /^too old resource version: 2 \(\d+\)$/);
  });

  test('sendInitialEvents streams the state, then a bookmark that says so', async () => {
    await using server = await startTestServer();
    await create(server, 'a');
    const watch = await server.watch(
      `${CONFIG_MAPS}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan`,
    );
    assert.equal((await watch.next()).type, 'ADDED');
    const mark = await watch.next();
    assert.equal(mark.type, 'BOOKMARK');
    assert.equal(mark.object.metadata.annotations?.['k8s.io/initial-events-end'], 'true');
    watch.close();
    const refused = await server.call('GET', `${CONFIG_MAPS}?watch=1&sendInitialEvents=true`);
    assert.equal(refused.status, 400);
  });

  test('a quiet watcher gets bookmarks of the present revision, and ends after timeoutSeconds', async () => {
    const clock = new ManualClock(Date.now());
    await using server = await startTestServer({}, clock);
    const { body } = await server.call('GET', CONFIG_MAPS);
    const watch = await server.watch(
      `${CONFIG_MAPS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=40&resourceVersion=${body.metadata.resourceVersion}`,
    );
    // somebody else's change moves the revision on
    await server.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'other' } } });
    await clock.advance(30_000);
    const mark = await watch.next();
    assert.equal(mark.type, 'BOOKMARK');
    assert.ok(Number(mark.object.metadata.resourceVersion) > Number(body.metadata.resourceVersion));
    await clock.advance(10_000);
    await watch.ended;
  });

  test('a watcher that does not read is cut off, the others go on', async () => {
    await using server = await startTestServer();
    const slow = await server.watch(`${CONFIG_MAPS}?watch=1`);
    const stalled = slow.pause();
    const quick = await server.watch(`${CONFIG_MAPS}?watch=1`);
    const data = { blob: 'x'.repeat(900_000) };
    for (let index = 0; index < 40; index += 1) {
      await server.call('POST', CONFIG_MAPS, {
        body: { metadata: { name: `big-${index}` }, data },
      });
      assert.equal((await quick.next()).object.metadata.name, `big-${index}`);
    }
    stalled();
    await slow.ended;
    quick.close();
  });

  test('closing the server ends its watches', async () => {
    const server = await startTestServer();
    const watch = await server.watch(`${CONFIG_MAPS}?watch=1`);
    await server[Symbol.asyncDispose]();
    await watch.ended;
  });
});
