// The informer of @kubernetes/client-node, unmodified: what other people's programs follow the cluster with.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CoreV1Api, KubeConfig, makeInformer, type V1ConfigMap } from '@kubernetes/client-node';
import { startTestServer } from './test-server.ts';

test("client-node's informer lists what is there, then sees it changed and deleted", async () => {
  await using server = await startTestServer();
  const config = new KubeConfig();
  config.loadFromFile(server.server.kubeconfigPath);
  const api = config.makeApiClient(CoreV1Api);
  const namespace = 'default';
  await api.createNamespacedConfigMap({
    namespace,
    body: { metadata: { name: 'seen' }, data: { a: '1' } },
  });
  const seen: string[] = [];
  const gone = Promise.withResolvers<void>();
  const informer = makeInformer<V1ConfigMap>(
    config,
    `/api/v1/namespaces/${namespace}/configmaps`,
    () => api.listNamespacedConfigMap({ namespace }),
  );
  const note = (what: string, object: V1ConfigMap): void => {
    if (object.metadata?.name === 'seen') seen.push(`${what} ${object.data?.['a']}`);
  };
  informer.on('add', (object) => note('add', object));
  informer.on('update', (object) => note('update', object));
  informer.on('delete', (object) => {
    note('delete', object);
    gone.resolve();
  });
  informer.on('error', (error: unknown) => gone.reject(error));
  await informer.start();
  try {
    await api.replaceNamespacedConfigMap({
      namespace,
      name: 'seen',
      body: { metadata: { name: 'seen' }, data: { a: '2' } },
    });
    await api.deleteNamespacedConfigMap({ namespace, name: 'seen' });
    await gone.promise;
    assert.deepEqual(seen, ['add 1', 'update 2', 'delete 2']);
  } finally {
    await informer.stop();
  }
});
