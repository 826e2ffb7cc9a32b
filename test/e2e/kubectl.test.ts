// What people do with kubectl, done with an unmodified one against the sandbox. AMBIT_TEST_KUBECTL=a:b runs it with each.

import assert from 'node:assert/strict';
import { get } from 'node:http';
import { text } from 'node:stream/consumers';
import { before, describe, test } from 'node:test';
import { type Kubectl, kubectlFor, kubectlMissing, kubectlPrograms } from '../support/kubectl.ts';
import { sandboxSuite } from '../support/sandbox.ts';

const programs = kubectlPrograms();
const missing = programs.map((program) => kubectlMissing(program)).find((why) => why !== undefined);

sandboxSuite(
  'kubectl',
  (sandbox) => {
    for (const [index, program] of programs.entries()) {
      describe(program, () => {
        const place = `k${index}`;
        let raw: Kubectl;
        before(async () => {
          raw = kubectlFor(sandbox().kubeconfig, program);
          await raw(['create', 'namespace', place]);
          await run('apply', '-f', '-', JSON.stringify(web()));
          await run('rollout', 'status', 'deployment/web', '--timeout=60s');
        });

        /** Words of a command line; a last word that is JSON goes to stdin. */
        const run = (...words: string[]): Promise<string> => raw(...split(words));
        const tried = (...words: string[]) => raw.tried(...split(words));
        const split = (words: string[]): [string[], string?] => {
          const last = words.at(-1) ?? '';
          const args = last.startsWith('{"') ? words.slice(0, -1) : words;
          return [['-n', place, ...args], ...(args === words ? [] : [last])] as [string[], string?];
        };
        const field = (object: string, path: string): Promise<string> =>
          run('get', object, '-o', `jsonpath=${path}`);
        const onePod = (): Promise<string> =>
          run('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[0].metadata.name}');

        test('get shows the columns of a cluster', async () => {
          assert.match(
            await run('get', 'deployments'),
            /^NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nweb +2\/2 +2 +2 +\d+/,
          );
          assert.match(
            await run('get', 'pods', '-o', 'wide'),
            /^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES\nweb-\S+ +1\/1 +Running +0 +/,
          );
          assert.match(
            await run('get', 'nodes'),
            /^NAME +STATUS +ROLES +AGE +VERSION\nnode-1 +Ready/,
          );
          assert.match(await run('get', 'all'), /pod\/web-[\s\S]*deployment.apps\/web/);
          assert.match(await run('get', 'pods', '-A'), /\nambit-system +ambit-ca-/);
        });

        test('describe tells the story of a pod and a deployment', async () => {
          const pod = await run('describe', 'pod', await onePod());
          assert.match(pod, /Status: +Running/);
          assert.match(pod, /Image: +ambit-mesh\/echo/);
          assert.match(pod, /Events:(?=[\s\S]* Scheduled )[\s\S]* Started /);
          assert.match(await run('describe', 'deployment', 'web'), /Replicas: +2 desired/);
          assert.match(await run('events'), /Scheduled|ScalingReplicaSet/);
        });

        test('apply creates, finds nothing to do, changes; diff tells beforehand', async () => {
          const settings = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' } };
          const first = JSON.stringify({ ...settings, data: { a: '1', b: '2' } });
          const second = JSON.stringify({ ...settings, data: { a: '3' } });
          assert.equal(await run('apply', '-f', '-', first), 'configmap/settings created\n');
          assert.equal(await run('apply', '-f', '-', first), 'configmap/settings unchanged\n');
          const same = await tried('diff', '-f', '-', first);
          assert.equal(same.code, 0, same.stderr);
          const different = await tried('diff', '-f', '-', second);
          assert.equal(different.code, 1, different.stderr);
          assert.match(different.stdout, /-  a: "1"\n-  b: "2"\n\+  a: "3"/);
          assert.equal(await run('apply', '-f', '-', second), 'configmap/settings configured\n');
          assert.equal(await field('configmap/settings', '{.data}'), '{"a":"3"}');
        });

        test('server-side apply shares an object, and names who owns what is in conflict', async () => {
          const shared = (data: object): string =>
            JSON.stringify({
              apiVersion: 'v1',
              kind: 'ConfigMap',
              metadata: { name: 'shared' },
              data,
            });
          const apply = (manager: string) => [
            'apply',
            '--server-side',
            '-f',
            '-',
            `--field-manager=${manager}`,
          ];
          await run(...apply('one'), shared({ a: '1' }));
          await run(...apply('two'), shared({ b: '2' }));
          assert.equal(await field('configmap/shared', '{.data}'), '{"a":"1","b":"2"}');
          const { code, stderr } = await tried(...apply('two'), shared({ a: '9', b: '2' }));
          assert.equal(code, 1);
          assert.match(stderr, /conflict with "one"[\s\S]*\.data\.a/);
          await run(...apply('two'), '--force-conflicts', shared({ a: '9', b: '2' }));
          assert.equal(await field('configmap/shared', '{.data.a}'), '9');
        });

        test('label, annotate and every kind of patch change what they name', async () => {
          await run('label', 'deployment/web', 'tier=front');
          await run('annotate', 'deployment/web', 'note=a word');
          await run('patch', 'deployment', 'web', '--type=merge', patchOf({ merged: 'yes' }));
          await run('patch', 'deployment', 'web', patchOf({ strategic: 'yes' }));
          const operation = { op: 'add', path: '/metadata/labels/json', value: 'yes' };
          await run('patch', 'deployment', 'web', '--type=json', '-p', JSON.stringify([operation]));
          const labels = JSON.parse(await field('deployment/web', '{.metadata.labels}')) as object;
          const all = { app: 'web', tier: 'front', merged: 'yes', strategic: 'yes', json: 'yes' };
          assert.deepEqual(labels, all);
          assert.equal(await field('deployment/web', '{.metadata.annotations.note}'), 'a word');
          const { code, stderr } = await tried('label', 'deployment/web', 'tier=back');
          assert.equal(code, 1);
          assert.match(stderr, /already has a value/);
          await run('label', 'deployment/web', 'tier-', 'merged-', 'strategic-', 'json-');
        });

        test('a strategic patch reaches into one container of the list', async () => {
          const container = { name: 'web', env: [{ name: 'PATCHED', value: 'yes' }] };
          const patch = { spec: { template: { spec: { containers: [container] } } } };
          await run('patch', 'deployment', 'web', `--patch=${JSON.stringify(patch)}`);
          const first = '{.spec.template.spec.containers[0]';
          assert.equal(await field('deployment/web', `${first}.image}`), 'ambit-mesh/echo');
          await run('rollout', 'status', 'deployment/web', '--timeout=60s');
          const env = await run('exec', 'deployment/web', '--', 'sh', '-c', 'echo $PATCHED');
          assert.equal(env, 'yes\n');
        });

        test('scale, rollout restart, undo and wait follow a deployment', async () => {
          await run('scale', 'deployment/web', '--replicas=1');
          await run(
            'wait',
            '--for=jsonpath={.status.readyReplicas}=1',
            'deployment/web',
            '--timeout=60s',
          );
          await run('rollout', 'restart', 'deployment/web');
          const done = /deployment "web" successfully rolled out/;
          assert.match(await run('rollout', 'status', 'deployment/web', '--timeout=60s'), done);
          assert.match(await run('rollout', 'undo', 'deployment/web'), /rolled back/);
          assert.match(await run('rollout', 'status', 'deployment/web', '--timeout=60s'), done);
          await run('wait', '--for=condition=Available', 'deployment/web', '--timeout=60s');
          await run('wait', '--for=condition=Ready', 'pod', '-l', 'app=web', '--timeout=60s');
        });

        test('exec passes arguments, stdin, both outputs and the exit code', async () => {
          const pod = await onePod();
          const { code, stdout, stderr } = await tried(
            'exec',
            pod,
            '--',
            'sh',
            '-c',
            'echo out; echo err >&2; exit 7',
          );
          assert.deepEqual([code, stdout], [7, 'out\n']);
          assert.match(stderr, /^err\n/);
          assert.equal(await run('exec', '-i', pod, '--', 'wc', '-c', '{"123456":8}'), '12\n');
        });

        test('logs show what was said and follow what is being said', async () => {
          const pod = await onePod();
          assert.match(await run('logs', pod), /Echoing/);
          const talker = {
            apiVersion: 'v1',
            kind: 'Pod',
            metadata: { name: 'talker' },
            spec: {
              terminationGracePeriodSeconds: 0,
              containers: [
                {
                  name: 'sh',
                  image: 'host',
                  command: [
                    'sh',
                    '-c',
                    'echo one; read x < /tmp/go-$HOSTNAME; echo $x; exec sleep 300',
                  ],
                },
              ],
              initContainers: [
                {
                  name: 'fifo',
                  image: 'host',
                  command: ['sh', '-c', 'rm -f /tmp/go-$HOSTNAME; mkfifo /tmp/go-$HOSTNAME'],
                },
              ],
            },
          };
          talker.metadata.name = `talker-${place}`;
          await run('apply', '-f', '-', JSON.stringify(talker));
          await run('wait', '--for=condition=Ready', `pod/talker-${place}`, '--timeout=60s');
          await using following = raw.started(['-n', place, 'logs', '-f', `talker-${place}`]);
          await following.printed(/one\n/);
          const go = 'f=/tmp/go-$HOSTNAME; echo two > $f; rm $f';
          await run('exec', `talker-${place}`, '--', 'sh', '-c', go);
          await following.printed(/one\ntwo\n/);
          await run('delete', 'pod', `talker-${place}`, '--timeout=60s');
        });

        test('port-forward leads to the pod', async () => {
          const pod = await onePod();
          await using forward = raw.started(['-n', place, 'port-forward', pod, ':8080']);
          const [, port] = await forward.printed(/Forwarding from 127\.0\.0\.1:(\d+) -> 8080/);
          // twice: the second connection goes over the same forwarding
          for (const path of ['/first', '/second']) {
            const answer = JSON.parse(await fetched(`http://127.0.0.1:${port}${path}`)) as object;
            assert.deepEqual({ ...answer, pod, path }, answer);
          }
        });

        test('explain, api-resources and auth can-i know the kinds', async () => {
          assert.match(await run('explain', 'deployment.spec.replicas'), /replicas/);
          assert.match(await run('explain', 'pod.spec.containers'), /containers/i);
          const resources = await run('api-resources');
          assert.match(resources, /^NAME +SHORTNAMES +APIVERSION +NAMESPACED +KIND/);
          assert.match(resources, /\ndeployments +deploy +apps\/v1 +true +Deployment/);
          assert.match(resources, /\nauthorizationpolicies .* true +AuthorizationPolicy/);
          assert.equal(await run('auth', 'can-i', 'delete', 'pods'), 'yes\n');
          const nobody = await tried('auth', 'can-i', 'delete', 'pods', '--as=system:anonymous');
          assert.deepEqual([nobody.code, nobody.stdout], [1, 'no\n']);
        });

        test('create token gives a token that tells its account', async () => {
          const token = await run('create', 'token', 'default', '--audience=somebody');
          const claims = JSON.parse(
            Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'),
          ) as Record<string, unknown>;
          assert.equal(claims['sub'], `system:serviceaccount:${place}:default`);
          assert.deepEqual([claims['aud']].flat(), ['somebody']);
        });

        test('an invalid object is refused with its field and reason, exit code 1, and nothing changes', async () => {
          const before = await field('deployment/web', '{.metadata.resourceVersion}');
          const bad = [
            [
              web({ replicas: -1 }),
              /spec\.replicas: Invalid value: -1: .*greater than or equal to 0/,
            ],
            [web({ replicas: 'two' }), /replicas/],
            [web({ selector: { matchLabels: { app: 'other' } } }), /selector/],
            [policyOf('EVERYTHING'), /spec\.action.*EVERYTHING/],
          ] as const;
          for (const [object, reason] of bad) {
            const { code, stderr } = await tried('apply', '-f', '-', JSON.stringify(object));
            assert.equal(code, 1, stderr);
            assert.match(stderr, reason);
          }
          assert.equal(await field('deployment/web', '{.metadata.resourceVersion}'), before);
          const policy = await tried('get', 'authorizationpolicy', 'wrong');
          assert.match(policy.stderr, /NotFound/);
        });

        test('labelling a namespace puts its pods into the mesh, and taking the label away takes them out', async () => {
          await raw(['label', 'namespace', place, 'ambit-mesh.io/mode=ambient']);
          const path = '{.metadata.annotations.ambit-mesh\\.io/redirection}';
          await run(
            'wait',
            'pod',
            '-l',
            'app=web',
            `--for=jsonpath=${path}=enabled`,
            '--timeout=60s',
          );
          const status = await sandbox().ambit('status', '-o', 'json');
          const { namespaces } = JSON.parse(status.stdout) as {
            namespaces: { name: string; pods: number; enrolled: number }[];
          };
          const { pods, enrolled } = namespaces.find(({ name }) => name === place)!;
          assert.equal(pods, enrolled);
          await raw(['label', 'namespace', place, 'ambit-mesh.io/mode-']);
        });

        test('delete takes the deployment, its pods and the namespace', async () => {
          assert.match(await run('delete', 'deployment', 'web'), /deployment.apps "web" deleted/);
          await run('wait', '--for=delete', 'pod', '-l', 'app=web', '--timeout=60s');
          await raw(['delete', 'namespace', place, '--timeout=60s']);
          const { code, stderr } = await tried('get', 'namespace', place);
          assert.equal(code, 1);
          assert.match(stderr, /NotFound/);
        });
      });
    }
  },
  missing,
);

function web(spec: object = {}): object {
  const labels = { app: 'web' };
  const readinessProbe = { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 };
  const own = { fieldRef: { fieldPath: 'metadata.name' } };
  const container = {
    name: 'web',
    image: 'ambit-mesh/echo',
    readinessProbe,
    env: [{ name: 'POD_NAME', valueFrom: own }],
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', labels },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container] } },
      ...spec,
    },
  };
}

function policyOf(action: string): object {
  return {
    apiVersion: 'security.ambit-mesh.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'wrong' },
    spec: { action },
  };
}

function patchOf(labels: object): string {
  return `--patch=${JSON.stringify({ metadata: { labels } })}`;
}

function fetched(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => resolve(text(response))).on('error', reject);
  });
}
