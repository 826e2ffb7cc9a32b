import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { JsonObject } from '../object.ts';
import { type Answer, startTestServer, type TestServer } from '../test-server.ts';

const NS = '/api/v1/namespaces/default';

const specOf = (answer: Answer): JsonObject => answer.body['spec'] as JsonObject;
const merge = (server: TestServer, path: string, body: object): Promise<Answer> =>
  server.call('PATCH', path, { type: 'application/merge-patch+json', body });

describe('pods', () => {
  const pod = (spec: object = {}, container: object = {}): object => ({
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'c', image: 'nginx', ...container }], ...spec },
  });
  const create = (server: TestServer, body: object): Promise<Answer> =>
    server.call('POST', `${NS}/pods`, { body });

  test('get the defaults people rely on', async () => {
    await using server = await startTestServer();
    const answer = await create(server, pod({}, { livenessProbe: { tcpSocket: { port: 1 } } }));
    const spec = specOf(answer);
    assert.equal(spec['restartPolicy'], 'Always');
    assert.equal(spec['dnsPolicy'], 'ClusterFirst');
    assert.equal(spec['serviceAccountName'], 'default');
    assert.equal(spec['terminationGracePeriodSeconds'], 30);
    const [container] = spec['containers'] as JsonObject[];
    assert.equal(container?.['imagePullPolicy'], 'Always');
    assert.deepEqual(container?.['livenessProbe'], {
      tcpSocket: { port: 1 },
      timeoutSeconds: 1,
      periodSeconds: 10,
      successThreshold: 1,
      failureThreshold: 3,
    });
    assert.deepEqual(answer.body['status'], { phase: 'Pending', qosClass: 'BestEffort' });
  });

  test('a tagged image is not pulled each time', async () => {
    await using server = await startTestServer();
    const { containers } = specOf(await create(server, pod({}, { image: 'host:5000/a/b:v1' })));
    assert.equal((containers as JsonObject[])[0]?.['imagePullPolicy'], 'IfNotPresent');
  });

  test('get the token volume, unless the pod or its account says no', async () => {
    await using server = await startTestServer();
    const mounted = specOf(await create(server, pod()));
    const [container] = mounted['containers'] as { volumeMounts: JsonObject[] }[];
    assert.equal(
      container?.volumeMounts[0]?.['mountPath'],
      '/var/run/secrets/kubernetes.io/serviceaccount',
    );
    assert.match(String((mounted['volumes'] as JsonObject[])[0]?.['name']), /^kube-api-access-/);
    const without = {
      metadata: { name: 'q' },
      spec: { automountServiceAccountToken: false, containers: [{ name: 'c', image: 'i' }] },
    };
    assert.equal(specOf(await create(server, without))['volumes'], undefined);
    await server.call('POST', `${NS}/serviceaccounts`, {
      body: { metadata: { name: 'quiet' }, automountServiceAccountToken: false },
    });
    const quiet = {
      metadata: { name: 'r' },
      spec: { serviceAccountName: 'quiet', containers: [{ name: 'c', image: 'i' }] },
    };
    assert.equal(specOf(await create(server, quiet))['volumes'], undefined);
  });

  test('of an account that does not exist are forbidden', async () => {
    await using server = await startTestServer();
    const { status, body } = await create(server, pod({ serviceAccountName: 'ghost' }));
    assert.equal(status, 403);
    assert.match(body.message, /error looking up service account default\/ghost/);
  });

  const invalid: [string, object, string][] = [
    ['no containers', { containers: [] }, 'spec.containers: Required value'],
    ['no image', { containers: [{ name: 'c' }] }, 'spec.containers[0].image: Required value'],
    [
      'two of one name',
      {
        containers: [
          { name: 'c', image: 'i' },
          { name: 'c', image: 'i' },
        ],
      },
      'spec.containers[1].name: Duplicate value: "c"',
    ],
    [
      'a mount of no volume',
      { containers: [{ name: 'c', image: 'i', volumeMounts: [{ name: 'v', mountPath: '/v' }] }] },
      'spec.containers[0].volumeMounts[0].name: Not found: "v"',
    ],
    [
      'a probe without a handler',
      { containers: [{ name: 'c', image: 'i', readinessProbe: {} }] },
      'spec.containers[0].readinessProbe: Required value: must specify a handler type',
    ],
    [
      'an unknown restart policy',
      { restartPolicy: 'Maybe', containers: [{ name: 'c', image: 'i' }] },
      'spec.restartPolicy: Unsupported value: "Maybe"',
    ],
  ];
  for (const [name, spec, message] of invalid) {
    test(`with ${name} are invalid`, async () => {
      await using server = await startTestServer();
      const { status, body } = await create(server, { metadata: { name: 'p' }, spec });
      assert.equal(status, 422);
      assert.ok(body.message.includes(message), body.message);
    });
  }

  test('do not change but for images', async () => {
    await using server = await startTestServer();
    await create(server, pod());
    const image = await server.call('PATCH', `${NS}/pods/p`, {
      type: 'application/strategic-merge-patch+json',
      body: { spec: { containers: [{ name: 'c', image: 'other' }] } },
    });
    assert.equal(image.status, 200);
    const moved = await merge(server, `${NS}/pods/p`, { spec: { hostNetwork: true } });
    assert.equal(moved.status, 422);
    assert.match(moved.body.message, /pod updates may not change fields other than/);
  });

  test('are bound once', async () => {
    await using server = await startTestServer();
    await create(server, pod());
    const bind = (node: string): Promise<Answer> =>
      server.call('POST', `${NS}/pods/p/binding`, {
        body: { target: { kind: 'Node', name: node } },
      });
    assert.equal((await bind('one')).status, 201);
    assert.equal(specOf(await server.call('GET', `${NS}/pods/p`))['nodeName'], 'one');
    assert.equal((await bind('two')).status, 409);
  });

  test('are not evicted against a disruption budget', async () => {
    await using server = await startTestServer();
    await create(server, {
      ...pod({ nodeName: 'n' }),
      metadata: { name: 'p', labels: { a: 'b' } },
    });
    await merge(server, `${NS}/pods/p/status`, { status: { phase: 'Running' } });
    const budgets = '/apis/policy/v1/namespaces/default/poddisruptionbudgets';
    await server.call('POST', budgets, {
      body: {
        metadata: { name: 'b' },
        spec: { minAvailable: 1, selector: { matchLabels: { a: 'b' } } },
      },
    });
    const evict = (): Promise<Answer> =>
      server.call('POST', `${NS}/pods/p/eviction`, { body: { metadata: { name: 'p' } } });
    assert.equal((await evict()).status, 429);
    await merge(server, `${budgets}/b/status`, { status: { disruptionsAllowed: 1 } });
    assert.equal((await evict()).status, 201);
    const { body } = await server.call('GET', `${NS}/pods/p`);
    assert.ok(body.metadata.deletionTimestamp !== undefined);
  });
});

describe('services', () => {
  const create = (server: TestServer, name: string, spec: object): Promise<Answer> =>
    server.call('POST', `${NS}/services`, { body: { metadata: { name }, spec } });

  test('get an address at once, the next free one, and give it back', async () => {
    await using server = await startTestServer();
    const first = specOf(await create(server, 'a', { ports: [{ port: 80 }] }));
    assert.equal(first['clusterIP'], '10.96.0.2');
    assert.deepEqual(first['ports'], [{ port: 80, protocol: 'TCP', targetPort: 80 }]);
    assert.equal(first['type'], 'ClusterIP');
    assert.equal(first['sessionAffinity'], 'None');
    assert.equal(first['internalTrafficPolicy'], 'Cluster');
    assert.equal(
      specOf(await create(server, 'b', { ports: [{ port: 80 }] }))['clusterIP'],
      '10.96.0.3',
    );
    await server.call('DELETE', `${NS}/services/a`);
    assert.equal(
      specOf(await create(server, 'c', { ports: [{ port: 80 }] }))['clusterIP'],
      '10.96.0.2',
    );
  });

  test('two families on request', async () => {
    await using server = await startTestServer();
    const spec = specOf(
      await create(server, 'a', { ipFamilyPolicy: 'PreferDualStack', ports: [{ port: 80 }] }),
    );
    assert.deepEqual(spec['clusterIPs'], ['10.96.0.2', 'fd00:96::1']);
    assert.deepEqual(spec['ipFamilies'], ['IPv4', 'IPv6']);
  });

  test('headless, external and node-port services are what they say', async () => {
    await using server = await startTestServer();
    assert.deepEqual(specOf(await create(server, 'h', { clusterIP: 'None' }))['clusterIPs'], [
      'None',
    ]);
    const external = specOf(
      await create(server, 'e', { type: 'ExternalName', externalName: 'example.com' }),
    );
    assert.equal(external['clusterIP'], undefined);
    const [port] = specOf(await create(server, 'n', { type: 'NodePort', ports: [{ port: 80 }] }))[
      'ports'
    ] as JsonObject[];
    assert.equal(port?.['nodePort'], 30_000);
  });

  test('an update keeps the address, and may not change it', async () => {
    await using server = await startTestServer();
    await create(server, 'a', { ports: [{ port: 80 }] });
    const kept = await server.call('PUT', `${NS}/services/a`, {
      body: { metadata: { name: 'a' }, spec: { ports: [{ port: 81 }] } },
    });
    assert.equal(specOf(kept)['clusterIP'], '10.96.0.2');
    const moved = await merge(server, `${NS}/services/a`, {
      spec: { clusterIP: '10.96.0.9', clusterIPs: ['10.96.0.9'] },
    });
    assert.equal(moved.status, 422);
    assert.match(moved.body.message, /may not change once set/);
  });

  test('an address that is taken or out of range is refused', async () => {
    await using server = await startTestServer();
    const taken = await create(server, 'a', { clusterIP: '10.96.0.1', ports: [{ port: 80 }] });
    assert.match(taken.body.message, /provided IP is already allocated/);
    await create(server, 'mine', { clusterIP: '10.96.0.9', ports: [{ port: 80 }] });
    await server.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'other' } } });
    const namesake = await server.call('POST', '/api/v1/namespaces/other/services', {
      body: { metadata: { name: 'mine' }, spec: { clusterIP: '10.96.0.9', ports: [{ port: 80 }] } },
    });
    assert.match(namesake.body.message, /provided IP is already allocated/);
    const outside = await create(server, 'a', { clusterIP: '10.97.0.1', ports: [{ port: 80 }] });
    assert.match(outside.body.message, /not in the valid range/);
  });

  test('several ports need names, and no ports need a headless service', async () => {
    await using server = await startTestServer();
    const unnamed = await create(server, 'a', { ports: [{ port: 80 }, { port: 81 }] });
    assert.match(unnamed.body.message, /spec\.ports\[0\]\.name: Required value/);
    assert.match((await create(server, 'a', {})).body.message, /spec\.ports: Required value/);
  });
});

describe('secrets and config maps', () => {
  test('stringData becomes data', async () => {
    await using server = await startTestServer();
    const { body } = await server.call('POST', `${NS}/secrets`, {
      body: { metadata: { name: 's' }, stringData: { a: 'b' }, data: { c: 'ZA==' } },
    });
    assert.deepEqual(body['data'], { a: 'Yg==', c: 'ZA==' });
    assert.equal(body['stringData'], undefined);
    assert.equal(body['type'], 'Opaque');
  });

  test('an immutable one stays as it is', async () => {
    await using server = await startTestServer();
    for (const kind of ['secrets', 'configmaps']) {
      await server.call('POST', `${NS}/${kind}`, {
        body: { metadata: { name: 'x' }, immutable: true, data: { a: 'YQ==' } },
      });
      const changed = await merge(server, `${NS}/${kind}/x`, { data: { a: 'Yg==' } });
      assert.equal(changed.status, 422);
      assert.match(changed.body.message, /field is immutable when `immutable` is set/);
      assert.equal(
        (await merge(server, `${NS}/${kind}/x`, { metadata: { labels: { a: 'b' } } })).status,
        200,
      );
    }
  });

  test('keys, base64 and the keys a type needs are checked', async () => {
    await using server = await startTestServer();
    const create = (body: object): Promise<Answer> =>
      server.call('POST', `${NS}/secrets`, { body: { metadata: { name: 's' }, ...body } });
    assert.match(
      (await create({ data: { 'a/b': '' } })).body.message,
      /a valid config key must consist of/,
    );
    assert.equal((await create({ data: { a: '%%' } })).status, 422);
    assert.match(
      (await create({ type: 'kubernetes.io/tls', data: {} })).body.message,
      /data\[tls\.crt\]: Required value/,
    );
  });
});

describe('namespaces', () => {
  test('carry their name as a label, whatever is asked', async () => {
    await using server = await startTestServer();
    const { body } = await server.call('POST', '/api/v1/namespaces', {
      body: { metadata: { name: 'n' } },
    });
    assert.equal(body.metadata.labels?.['kubernetes.io/metadata.name'], 'n');
    const patched = await merge(server, '/api/v1/namespaces/n', { metadata: { labels: null } });
    assert.equal(patched.body.metadata.labels?.['kubernetes.io/metadata.name'], 'n');
  });

  test('names follow the rules', async () => {
    await using server = await startTestServer();
    for (const name of ['Bad', 'a.b', '-a', 'x'.repeat(64)]) {
      const { status } = await server.call('POST', '/api/v1/namespaces', {
        body: { metadata: { name } },
      });
      assert.equal(status, 422, name);
    }
  });
});

describe('jobs', () => {
  test('find their pods by their own uid', async () => {
    await using server = await startTestServer();
    const { body } = await server.call('POST', '/apis/batch/v1/namespaces/default/jobs', {
      body: {
        metadata: { name: 'j' },
        spec: {
          template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i' }] } },
        },
      },
    });
    const spec = body['spec'] as { selector: JsonObject; template: { metadata: JsonObject } };
    assert.deepEqual(spec.selector, {
      matchLabels: { 'batch.kubernetes.io/controller-uid': body.metadata.uid },
    });
    assert.equal((spec.template.metadata['labels'] as JsonObject)['job-name'], 'j');
  });
});
