import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startTestServer } from '../test-server.ts';

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const configMap = (name: string, data: object = { a: '1' }): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
});

describe('create, read, update, delete', () => {
  test('a created object gets uid, creationTimestamp and resourceVersion, and reads back the same', async () => {
    await using server = await startTestServer();
    const created = await server.call('POST', CONFIG_MAPS, { body: configMap('a') });
    assert.equal(created.status, 201);
    assert.match(created.body.metadata.uid ?? '', /^[0-9a-f-]{36}$/);
    assert.match(created.body.metadata.creationTimestamp ?? '', /^\d{4}-.*:\d\dZ$/);
    const read = await server.call('GET', `${CONFIG_MAPS}/a`);
    assert.deepEqual(read.body, created.body);
  });

  test('an object is created once: the second time is AlreadyExists', async () => {
    await using server = await startTestServer();
    await server.call('POST', CONFIG_MAPS, { body: configMap('a') });
    const again = await server.call('POST', CONFIG_MAPS, { body: configMap('a') });
    assert.equal(again.status, 409);
    assert.equal(again.body.reason, 'AlreadyExists');
    assert.equal(again.body.message, 'configmaps "a" already exists');
  });

  test('an update with a stale resourceVersion is a Conflict and changes nothing', async () => {
    await using server = await startTestServer();
    const { body } = await server.call('POST', CONFIG_MAPS, { body: configMap('a') });
    await server.call('PUT', `${CONFIG_MAPS}/a`, { body: { ...body, data: { a: '2' } } });
    const stale = await server.call('PUT', `${CONFIG_MAPS}/a`, {
      body: { ...body, data: { a: '3' } },
    });
    assert.equal(stale.status, 409);
    assert.equal(
      stale.body.message,
      'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again',
    );
    const { body: now } = await server.call('GET', `${CONFIG_MAPS}/a`);
    assert.deepEqual(now['data'], { a: '2' });
  });

  test('an update without a resourceVersion overwrites', async () => {
    await using server = await startTestServer();
    await server.call('POST', CONFIG_MAPS, { body: configMap('a') });
    const written = await server.call('PUT', `${CONFIG_MAPS}/a`, {
      body: configMap('a', { b: '2' }),
    });
    assert.equal(written.status, 200);
    assert.deepEqual(written.body['data'], { b: '2' });
  });

  test('an update that changes nothing keeps the resourceVersion', async () => {
    await using server = await startTestServer();
    const { body } = await server.call('POST', CONFIG_MAPS, { body: configMap('a') });
    const same = await server.call('PUT', `${CONFIG_MAPS}/a`, { body });
    assert.equal(same.body.metadata.resourceVersion, body.metadata.resourceVersion);
  });

  test('generateName makes a fresh name each time', async () => {
    await using server = await startTestServer();
    const body = { metadata: { generateName: 'x-' } };
    const one = await server.call('POST', CONFIG_MAPS, { body });
    const two = await server.call('POST', CONFIG_MAPS, { body });
    assert.match(one.body.metadata.name ?? '', /^x-[a-z0-9]{5}$/);
    assert.notEqual(one.body.metadata.name, two.body.metadata.name);
  });

  test('dryRun=All answers as if, and stores nothing', async () => {
    await using server = await startTestServer();
    const dry = await server.call('POST', `${CONFIG_MAPS}?dryRun=All`, { body: configMap('a') });
    assert.equal(dry.status, 201);
    assert.equal((await server.call('GET', `${CONFIG_MAPS}/a`)).status, 404);
  });

  test('an object in a missing namespace is refused', async () => {
    await using server = await startTestServer();
    const answer = await server.call('POST', '/api/v1/namespaces/nowhere/configmaps', {
      body: configMap('a'),
    });
    assert.equal(answer.status, 404);
    assert.equal(answer.body.message, 'namespaces "nowhere" not found');
  });

  test('a malformed label value is refused with the field and the rule', async () => {
    await using server = await startTestServer();
    const answer = await server.call('POST', CONFIG_MAPS, {
      body: { metadata: { name: 'a', labels: { mode: 'am bient' } } },
    });
    assert.equal(answer.status, 422);
    assert.match(
      answer.body.message,
      /^ConfigMap "a" is invalid: metadata\.labels: Invalid value: "am bient": a valid label must be an empty string or consist of/,
    );
    assert.equal(answer.body.details.causes?.[0]?.field, 'metadata.labels');
  });

  test('unknown fields: Strict refuses, Warn warns, both name the field', async () => {
    await using server = await startTestServer();
    const body = { ...configMap('a'), datum: {} };
    const strict = await server.call('POST', `${CONFIG_MAPS}?fieldValidation=Strict`, { body });
    assert.equal(strict.status, 400);
    assert.match(strict.body.message, /strict decoding error: unknown field "datum"$/);
    const warned = await server.call('POST', `${CONFIG_MAPS}?fieldValidation=Warn`, { body });
    assert.equal(warned.status, 201);
    assert.equal(warned.headers['warning'], '299 - "unknown field \\"datum\\""');
    assert.equal(warned.body['datum'], undefined);
  });

  test('a body over the limit is refused before it is read', async () => {
    await using server = await startTestServer();
    const answer = await server.call('POST', CONFIG_MAPS, {
      body: JSON.stringify(configMap('a', { a: 'x'.repeat(4 * 1024 * 1024) })),
    });
    assert.equal(answer.status, 413);
  });

  test('a body of an unknown format and one that is not JSON say what is wrong', async () => {
    await using server = await startTestServer();
    const unknown = await server.call('POST', CONFIG_MAPS, { body: 'x', type: 'text/plain' });
    assert.equal(unknown.status, 415);
    const broken = await server.call('POST', CONFIG_MAPS, { body: '{"a":' });
    assert.equal(broken.status, 400);
    assert.match(broken.body.message, /couldn't parse JSON/);
  });

  test('YAML is taken and given', async () => {
    await using server = await startTestServer();
    const created = await server.call('POST', CONFIG_MAPS, {
      body: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {k: v}\n',
      type: 'application/yaml',
      accept: 'application/yaml',
    });
    assert.equal(created.status, 201);
    assert.match(created.text, /^ {2}k: v$/m);
  });
});

describe('deletion', () => {
  test('finalizers hold an object until the last one is removed', async () => {
    await using server = await startTestServer();
    await server.call('POST', CONFIG_MAPS, {
      body: { metadata: { name: 'a', finalizers: ['example.com/wait'] } },
    });
    const deleted = await server.call('DELETE', `${CONFIG_MAPS}/a`);
    assert.ok(deleted.body.metadata.deletionTimestamp !== undefined);
    const refused = await server.call('PATCH', `${CONFIG_MAPS}/a`, {
      type: 'application/merge-patch+json',
      body: { metadata: { finalizers: ['example.com/wait', 'example.com/late'] } },
    });
    assert.equal(refused.status, 422);
    await server.call('PATCH', `${CONFIG_MAPS}/a`, {
      type: 'application/merge-patch+json',
      body: { metadata: { finalizers: null } },
    });
    assert.equal((await server.call('GET', `${CONFIG_MAPS}/a`)).status, 404);
  });

  test('preconditions on uid and resourceVersion are kept', async () => {
    await using server = await startTestServer();
    await server.call('POST', CONFIG_MAPS, { body: configMap('a') });
    for (const preconditions of [{ uid: 'other' }, { resourceVersion: '1' }]) {
      const refused = await server.call('DELETE', `${CONFIG_MAPS}/a`, { body: { preconditions } });
      assert.equal(refused.status, 409);
      assert.match(refused.body.message, /Precondition failed/);
    }
  });

  test('propagationPolicy sets the finalizer that the garbage collector waits for', async () => {
    await using server = await startTestServer();
    for (const [policy, finalizer] of [
      ['Foreground', 'foregroundDeletion'],
      ['Orphan', 'orphan'],
    ]) {
      await server.call('POST', CONFIG_MAPS, { body: configMap('a') });
      const { body } = await server.call('DELETE', `${CONFIG_MAPS}/a?propagationPolicy=${policy}`);
      assert.deepEqual(body.metadata.finalizers, [finalizer]);
      await server.call('PATCH', `${CONFIG_MAPS}/a`, {
        type: 'application/merge-patch+json',
        body: { metadata: { finalizers: null } },
      });
    }
  });

  test('a scheduled pod stays for its grace period, and goes at once with zero', async () => {
    await using server = await startTestServer();
    const pods = '/api/v1/namespaces/default/pods';
    const spec = { nodeName: 'n', containers: [{ name: 'c', image: 'i' }] };
    await server.call('POST', pods, { body: { metadata: { name: 'p' }, spec } });
    const { body } = await server.call('DELETE', `${pods}/p`);
    assert.equal(body.metadata.deletionGracePeriodSeconds, 30);
    const shorter = await server.call('DELETE', `${pods}/p?gracePeriodSeconds=5`);
    assert.equal(shorter.body.metadata.deletionGracePeriodSeconds, 5);
    await server.call('DELETE', `${pods}/p?gracePeriodSeconds=0`);
    assert.equal((await server.call('GET', `${pods}/p`)).status, 404);
  });

  test('a namespace stays Terminating until it is finalized, and takes nothing new', async () => {
    await using server = await startTestServer();
    await server.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'n' } } });
    const { body } = await server.call('DELETE', '/api/v1/namespaces/n');
    assert.deepEqual(body['status'], { phase: 'Terminating' });
    const refused = await server.call('POST', '/api/v1/namespaces/n/configmaps', {
      body: configMap('a'),
    });
    assert.equal(refused.status, 403);
    assert.match(refused.body.message, /because it is being terminated$/);
    await server.call('PUT', '/api/v1/namespaces/n/finalize', {
      body: { ...body, spec: { finalizers: [] } },
    });
    assert.equal((await server.call('GET', '/api/v1/namespaces/n')).status, 404);
  });

  test('deletecollection deletes what the selector chooses and nothing else', async () => {
    await using server = await startTestServer();
    for (const [name, color] of [
      ['a', 'red'],
      ['b', 'blue'],
      ['c', 'red'],
    ]) {
      await server.call('POST', CONFIG_MAPS, { body: { metadata: { name, labels: { color } } } });
    }
    await server.call('DELETE', `${CONFIG_MAPS}?labelSelector=color%3Dred`);
    const { body } = await server.call('GET', CONFIG_MAPS);
    assert.deepEqual(
      body.items.map((item) => item.metadata.name),
      ['b'],
    );
  });
});

describe('status and generation', () => {
  const deployments = '/apis/apps/v1/namespaces/default/deployments';
  const deployment = {
    metadata: { name: 'd' },
    spec: {
      selector: { matchLabels: { a: 'b' } },
      template: {
        metadata: { labels: { a: 'b' } },
        spec: { containers: [{ name: 'c', image: 'i' }] },
      },
    },
  };

  test('a write to the object leaves the status alone, a write to the status all else', async () => {
    await using server = await startTestServer();
    const { body } = await server.call('POST', deployments, {
      body: { ...deployment, status: { replicas: 9 } },
    });
    assert.equal(body['status'], undefined);
    const status = await server.call('PUT', `${deployments}/d/status`, {
      body: {
        ...body,
        spec: { ...(body['spec'] as object), replicas: 7 },
        status: { replicas: 1 },
      },
    });
    assert.equal((status.body['spec'] as { replicas: number }).replicas, 1);
    assert.deepEqual(status.body['status'], { replicas: 1 });
    assert.equal(status.body.metadata.generation, 1);
  });

  test('generation counts changes of the spec only', async () => {
    await using server = await startTestServer();
    await server.call('POST', deployments, { body: deployment });
    const patch = (body: object): ReturnType<typeof server.call> =>
      server.call('PATCH', `${deployments}/d`, { type: 'application/merge-patch+json', body });
    assert.equal((await patch({ metadata: { labels: { x: 'y' } } })).body.metadata.generation, 1);
    assert.equal((await patch({ spec: { replicas: 3 } })).body.metadata.generation, 2);
  });

  test('the selector of a deployment is immutable and must fit its template', async () => {
    await using server = await startTestServer();
    await server.call('POST', deployments, { body: deployment });
    const changed = await server.call('PATCH', `${deployments}/d`, {
      type: 'application/merge-patch+json',
      body: { spec: { selector: { matchLabels: { a: 'c' } } } },
    });
    assert.equal(changed.status, 422);
    assert.match(changed.body.message, /field is immutable/);
    assert.match(changed.body.message, /`selector` does not match template `labels`/);
  });

  test('scale reads and writes the replicas', async () => {
    await using server = await startTestServer();
    await server.call('POST', deployments, { body: deployment });
    const { body: scale } = await server.call('GET', `${deployments}/d/scale`);
    assert.equal(scale.kind, 'Scale');
    assert.deepEqual(scale['status'], { replicas: 0, selector: 'a=b' });
    await server.call('PUT', `${deployments}/d/scale`, {
      body: { ...scale, spec: { replicas: 4 } },
    });
    const { body } = await server.call('GET', `${deployments}/d`);
    assert.equal((body['spec'] as { replicas: number }).replicas, 4);
  });
});
