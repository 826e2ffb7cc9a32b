import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startTestServer, type TestServer } from '../test-server.ts';

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';

async function fill(server: TestServer, names: readonly string[]): Promise<void> {
  for (const name of names)
    await server.call('POST', CONFIG_MAPS, { body: { metadata: { name } } });
}

const namesIn = (body: { items: { metadata: { name?: string } }[] }): unknown[] =>
  body.items.map(({ metadata }) => metadata.name);

describe('lists', () => {
  test('pages continue in the state of the first page, whatever happens meanwhile', async () => {
    await using server = await startTestServer();
    await fill(server, ['a', 'b', 'c', 'd', 'e']);
    const first = await server.call('GET', `${CONFIG_MAPS}?limit=2`);
    assert.deepEqual(namesIn(first.body), ['a', 'b']);
    assert.equal((first.body.metadata as { remainingItemCount?: number }).remainingItemCount, 3);
    await server.call('DELETE', `${CONFIG_MAPS}/d`);
    await fill(server, ['bb']);
    const token = (first.body.metadata as { continue?: string }).continue ?? '';
    const second = await server.call('GET', `${CONFIG_MAPS}?continue=${token}`);
    assert.deepEqual(namesIn(second.body), ['c', 'd', 'e']);
    assert.equal(second.body.metadata.resourceVersion, first.body.metadata.resourceVersion);
  });

  test('a continue token whose state is forgotten is 410 with a token to go on in the present', async () => {
    await using server = await startTestServer({ historyLimit: 4 });
    await fill(server, ['a', 'b', 'c']);
    const first = await server.call('GET', `${CONFIG_MAPS}?limit=1`);
    await fill(server, ['d', 'e', 'f', 'g', 'h', 'i', 'j']);
    const token = (first.body.metadata as { continue?: string }).continue ?? '';
    const gone = await server.call('GET', `${CONFIG_MAPS}?continue=${token}`);
    assert.equal(gone.status, 410);
    assert.equal(gone.body.reason, 'Expired');
    const present = (gone.body.metadata as { continue?: string }).continue ?? '';
    const rest = await server.call('GET', `${CONFIG_MAPS}?continue=${present}`);
    assert.deepEqual(namesIn(rest.body), ['b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']);
  });

  test('resourceVersionMatch=Exact shows that very state, or 410', async () => {
    await using server = await startTestServer({ historyLimit: 4 });
    await fill(server, ['a']);
    const { body } = await server.call('GET', CONFIG_MAPS);
    const exact = `${CONFIG_MAPS}?resourceVersion=${body.metadata.resourceVersion}&resourceVersionMatch=Exact`;
    await fill(server, ['b']);
    assert.deepEqual(namesIn((await server.call('GET', exact)).body), ['a']);
    await fill(server, ['c', 'd', 'e', 'f', 'g', 'h']);
    assert.equal((await server.call('GET', exact)).status, 410);
  });

  test('NotOlderThan shows the present, a future version is refused, senseless options are 400', async () => {
    await using server = await startTestServer();
    await fill(server, ['a', 'b']);
    const newer = await server.call(
      'GET',
      `${CONFIG_MAPS}?resourceVersion=1&resourceVersionMatch=NotOlderThan`,
    );
    assert.deepEqual(namesIn(newer.body), ['a', 'b']);
    assert.equal((await server.call('GET', `${CONFIG_MAPS}?resourceVersion=999999`)).status, 504);
    for (const query of [
      'resourceVersionMatch=Exact',
      'resourceVersion=0&resourceVersionMatch=Exact',
      'resourceVersion=1&resourceVersionMatch=Newest',
      'resourceVersion=abc',
      'limit=-1',
      'continue=nonsense',
    ]) {
      assert.equal((await server.call('GET', `${CONFIG_MAPS}?${query}`)).status, 400, query);
    }
  });

  test('field selectors choose by name, node and phase; an unknown field is 400', async () => {
    await using server = await startTestServer();
    const pods = '/api/v1/namespaces/default/pods';
    for (const [name, nodeName] of [
      ['p', 'one'],
      ['q', 'two'],
    ]) {
      const spec = { nodeName, containers: [{ name: 'c', image: 'i' }] };
      await server.call('POST', pods, { body: { metadata: { name }, spec } });
    }
    const at = async (selector: string): Promise<unknown[]> =>
      namesIn(
        (await server.call('GET', `/api/v1/pods?fieldSelector=${encodeURIComponent(selector)}`))
          .body,
      );
    assert.deepEqual(await at('spec.nodeName=two'), ['q']);
    assert.deepEqual(await at('status.phase!=Running,metadata.name=p'), ['p']);
    const unknown = await server.call('GET', '/api/v1/pods?fieldSelector=spec.color%3Dred');
    assert.equal(unknown.status, 400);
    assert.equal(unknown.body.message, 'field label not supported: spec.color');
  });

  test('a Table or metadata alone is given to those who ask', async () => {
    await using server = await startTestServer();
    await fill(server, ['a']);
    const table = await server.call('GET', CONFIG_MAPS, {
      accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json',
    });
    assert.equal(table.body.kind, 'Table');
    const partial = await server.call('GET', CONFIG_MAPS, {
      accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io',
    });
    assert.equal(partial.body.kind, 'PartialObjectMetadataList');
    assert.deepEqual(Object.keys(partial.body.items[0] ?? {}).sort(), [
      'apiVersion',
      'kind',
      'metadata',
    ]);
  });

  test('a form nobody can make is 406', async () => {
    await using server = await startTestServer();
    assert.equal((await server.call('GET', CONFIG_MAPS, { accept: 'text/html' })).status, 406);
  });
});
