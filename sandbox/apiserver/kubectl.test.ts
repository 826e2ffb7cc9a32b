import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { kubectlFor, kubectlMissing } from '../../test/support/kubectl.ts';
import { startTestServer, type TestServer } from './test-server.ts';

const missing = kubectlMissing();
if (missing !== undefined) process.stderr.write(`SKIPPED ${import.meta.filename}: ${missing}\n`);

type Run = { code: number; out: string; err: string };
type Words = (args: string, input?: unknown) => Promise<Run>;

/** Words are split at spaces, which none of these tests needs inside one; the discovery cache is the test's own. */
function kubectlOf(server: TestServer): Words {
  const kubectl = kubectlFor(server.server.kubeconfigPath);
  const cache = ['--cache-dir', join(server.stateDir, 'cache')];
  return async (args, input) => {
    const text = input === undefined ? undefined : JSON.stringify(input);
    const { code, stdout, stderr } = await kubectl.tried([...cache, ...args.split(' ')], text);
    return { code, out: stdout.trim(), err: stderr.trim() };
  };
}

const deployment = (replicas: number): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', labels: { app: 'web' } },
  spec: {
    replicas,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: { containers: [{ name: 'web', image: 'nginx', ports: [{ containerPort: 80 }] }] },
    },
  },
});

describe('kubectl', { skip: missing ?? false }, () => {
  test('apply creates, then changes nothing, then changes; what is left out goes', async () => {
    await using server = await startTestServer();
    const kubectl = kubectlOf(server);
    assert.equal((await kubectl('apply -f -', deployment(2))).out, 'deployment.apps/web created');
    assert.equal((await kubectl('apply -f -', deployment(2))).out, 'deployment.apps/web unchanged');
    const labelled = deployment(3) as { metadata: { labels: object } };
    labelled.metadata.labels = { other: 'x' };
    assert.equal((await kubectl('apply -f -', labelled)).out, 'deployment.apps/web configured');
    const labels = await kubectl('get deploy web -o jsonpath={.metadata.labels}');
    assert.equal(labels.out, '{"other":"x"}');
  });

  test('apply --server-side conflicts with another manager, and --force-conflicts takes over', async () => {
    await using server = await startTestServer();
    const kubectl = kubectlOf(server);
    assert.match(
      (await kubectl('apply --server-side -f -', deployment(2))).out,
      /serverside-applied$/,
    );
    assert.equal((await kubectl('scale deploy web --replicas=5')).code, 0);
    const refused = await kubectl('apply --server-side -f -', deployment(2));
    assert.match(refused.err, /conflict with "kubectl[^"]*" using apps\/v1: \.spec\.replicas/);
    const forced = await kubectl('apply --server-side --force-conflicts -f -', deployment(2));
    assert.equal(forced.code, 0);
    assert.equal((await kubectl('get deploy web -o jsonpath={.spec.replicas}')).out, '2');
  });

  test('label, annotate, patch, set image, rollout restart, scale and delete do what they say', async () => {
    await using server = await startTestServer();
    const kubectl = kubectlOf(server);
    await kubectl('apply -f -', deployment(2));
    for (const args of [
      'label deploy web color=red',
      'annotate deploy web note=x',
      'set image deploy web web=other',
      'rollout restart deploy web',
      'patch deploy web -p {"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"A","value":"1"}]}]}}}}',
    ]) {
      const { code, err } = await kubectl(args);
      assert.equal(code, 0, `${args}: ${err}`);
    }
    const { out } = await kubectl('get deploy web -o json');
    const { metadata, spec } = JSON.parse(out) as {
      metadata: { labels: Record<string, string>; annotations: Record<string, string> };
      spec: {
        template: { spec: { containers: { image: string; env: object[]; ports: object[] }[] } };
      };
    };
    assert.equal(metadata.labels['color'], 'red');
    assert.equal(metadata.annotations['note'], 'x');
    assert.equal(spec.template.spec.containers[0]?.image, 'other');
    assert.deepEqual(spec.template.spec.containers[0]?.env, [{ name: 'A', value: '1' }]);
    assert.deepEqual(spec.template.spec.containers[0]?.ports, [
      { containerPort: 80, protocol: 'TCP' },
    ]);
    assert.match((await kubectl('delete deploy web')).out, /deleted/);
  });

  test('a malformed object is refused with the usual text', async () => {
    await using server = await startTestServer();
    const kubectl = kubectlOf(server);
    const unknown = deployment(1) as { spec: Record<string, unknown> };
    unknown.spec['replica'] = 1;
    assert.match(
      (await kubectl('apply -f -', unknown)).err,
      /strict decoding error: unknown field "spec\.replica"/,
    );
    const bad = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      spec: { containers: [{ name: 'c' }] },
    };
    assert.equal(
      (await kubectl('apply -f -', bad)).err,
      'The Pod "p" is invalid: spec.containers[0].image: Required value',
    );
  });

  test('typed commands work, whichever encoding this kubectl sends', async () => {
    await using server = await startTestServer();
    const kubectl = kubectlOf(server);
    for (const args of [
      'create namespace shop',
      'create serviceaccount robot -n shop',
      'create role r --verb=get,list --resource=pods -n shop',
      'create rolebinding b --role=r --serviceaccount=shop:robot -n shop',
      'create deployment web --image=nginx --replicas=0 -n shop',
      'create configmap c --from-literal=a=b -n shop',
      'create secret generic s --from-literal=a=b -n shop',
      'create job j --image=nginx -n shop',
      'create service clusterip web --tcp=80:8080 -n shop',
      'run p --image=nginx -n shop',
    ]) {
      const { code, err } = await kubectl(args);
      assert.equal(code, 0, `${args}: ${err}`);
    }
    assert.equal((await kubectl('get deploy web -n shop -o jsonpath={.spec.replicas}')).out, '0');
    assert.equal((await kubectl('get cm c -n shop -o jsonpath={.data.a}')).out, 'b');
    const as = '--as=system:serviceaccount:shop:robot';
    assert.equal((await kubectl(`auth can-i list pods -n shop ${as}`)).out, 'yes');
    assert.equal((await kubectl(`auth can-i delete pods -n shop ${as}`)).out, 'no');
    assert.match((await kubectl('create token robot -n shop')).out, /^ey[\w-]+\.[\w-]+\.[\w-]+$/);
  });

  test('custom kinds: apply, wait, get with columns, explain, invalid objects, delete', async () => {
    await using server = await startTestServer();
    const kubectl = kubectlOf(server);
    const definition = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'widgets.example.com' },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'widgets', kind: 'Widget', shortNames: ['wd'] },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            additionalPrinterColumns: [{ name: 'Size', type: 'string', jsonPath: '.spec.size' }],
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: {
                  spec: {
                    type: 'object',
                    required: ['size'],
                    properties: {
                      size: { type: 'string', enum: ['s', 'l'], description: 'How big.' },
                    },
                  },
                },
              },
            },
          },
        ],
      },
    };
    const widget = (size: string): object => ({
      apiVersion: 'example.com/v1',
      kind: 'Widget',
      metadata: { name: 'w' },
      spec: { size },
    });
    await kubectl('apply -f -', definition);
    assert.equal(
      (await kubectl('wait --for=condition=established crd/widgets.example.com')).code,
      0,
    );
    assert.equal((await kubectl('apply -f -', widget('s'))).out, 'widget.example.com/w created');
    assert.equal((await kubectl('get wd')).out, 'NAME   SIZE\nw      s');
    assert.match((await kubectl('explain widget.spec.size')).out, /How big\./);
    assert.equal(
      (await kubectl('apply -f -', widget('xl'))).err,
      'The Widget "w" is invalid: spec.size: Unsupported value: "xl": supported values: "s", "l"',
    );
    assert.equal((await kubectl('delete crd widgets.example.com')).code, 0);
  });

  test('describe, api-resources and explain know the built-in kinds', async () => {
    await using server = await startTestServer();
    const kubectl = kubectlOf(server);
    await kubectl('apply -f -', deployment(1));
    assert.match((await kubectl('describe deploy web')).out, /Replicas: +1 desired/);
    assert.match(
      (await kubectl('api-resources --no-headers')).out,
      /^deployments +deploy +apps\/v1 +true +Deployment$/m,
    );
    assert.match((await kubectl('explain pod.spec.containers.image')).out, /FIELD: image/);
  });
});
