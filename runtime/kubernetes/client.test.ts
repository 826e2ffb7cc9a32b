// The client against a local HTTP server: what goes over the wire for each verb, and what failures say.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../clock.ts';
import { silentLog } from '../log.ts';
import { connectKubernetes, type KubeClient, type KubeError, type WatchEvent } from './client.ts';
import { inform } from './informer.ts';
import type { KubeObject, Pod } from './objects.ts';
import { DEPLOYMENTS, NODES, PODS, SERVICE_ACCOUNTS } from './resources.ts';

type Seen = {
  method: string;
  url: string;
  type: string | undefined;
  auth: string | undefined;
  body: string;
};

let server: Server;
let kube: KubeClient;
let folder: string;
let seen: Seen[] = [];
let answer: (seen: Seen, response: ServerResponse) => void;

async function read(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  return body;
}

const json = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
};

before(async () => {
  server = createServer((request, response) => {
    void read(request).then((body) => {
      const entry = {
        method: request.method ?? '',
        url: request.url ?? '',
        type: request.headers['content-type'],
        auth: request.headers.authorization,
        body,
      };
      seen.push(entry);
      answer(entry, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  folder = await mkdtemp(join(tmpdir(), 'ambit-kube-'));
  const { port } = server.address() as AddressInfo;
  const config = {
    clusters: [
      {
        name: 'c',
        cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true },
      },
    ],
    users: [{ name: 'u', user: { token: 'secret' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  await writeFile(join(folder, 'config'), JSON.stringify(config));
  kube = await connectKubernetes({ kubeconfig: join(folder, 'config') });
});

after(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

async function asked(run: () => Promise<unknown>): Promise<Seen> {
  seen = [];
  await run();
  assert.equal(seen.length, 1);
  return seen[0]!;
}

describe('KubeClient', () => {
  test('each verb is one request of the API conventions, with the bearer token', async () => {
    answer = (_, response) =>
      json(response, 200, { metadata: { resourceVersion: '5' }, items: [] });
    const pod = { metadata: { name: 'a', namespace: 'shop' } };
    const cases: [() => Promise<unknown>, string, string | undefined][] = [
      [
        () => kube.list(PODS, { namespace: 'shop', labelSelector: 'app=web', limit: 5 }),
        'GET /api/v1/namespaces/shop/pods?labelSelector=app%3Dweb&limit=5',
        undefined,
      ],
      [() => kube.list(PODS), 'GET /api/v1/pods', undefined],
      [() => kube.get(NODES, 'n1'), 'GET /api/v1/nodes/n1', undefined],
      [() => kube.create(PODS, pod), 'POST /api/v1/namespaces/shop/pods', 'application/json'],
      [
        () => kube.update(DEPLOYMENTS, pod, 'status'),
        'PUT /apis/apps/v1/namespaces/shop/deployments/a/status',
        'application/json',
      ],
      [
        () => kube.apply(PODS, pod, { fieldManager: 'ambit', force: true }),
        'PATCH /api/v1/namespaces/shop/pods/a?fieldManager=ambit&force=true',
        'application/apply-patch+yaml',
      ],
      [
        () => kube.patch(PODS, 'a', 'shop', [], { type: 'json' }),
        'PATCH /api/v1/namespaces/shop/pods/a',
        'application/json-patch+json',
      ],
      [
        () => kube.delete(PODS, 'a', 'shop'),
        'DELETE /api/v1/namespaces/shop/pods/a',
        'application/json',
      ],
      [
        () => kube.subcreate(SERVICE_ACCOUNTS, 'web', 'shop', 'token', {}),
        'POST /api/v1/namespaces/shop/serviceaccounts/web/token',
        'application/json',
      ],
    ];
    for (const [run, line, type] of cases) {
      const request = await asked(run);
      assert.equal(`${request.method} ${request.url}`, line);
      assert.equal(request.type, type);
      assert.equal(request.auth, 'Bearer secret');
    }
  });

  test('a written object carries its apiVersion and kind', async () => {
    const request = await asked(() =>
      kube.create(PODS, { metadata: { name: 'a', namespace: 'shop' } }),
    );
    assert.deepEqual(JSON.parse(request.body), {
      metadata: { name: 'a', namespace: 'shop' },
      apiVersion: 'v1',
      kind: 'Pod',
    });
  });

  test('a refusal names verb, object, reason and status', async () => {
    answer = (_, response) =>
      json(response, 409, { kind: 'Status', reason: 'Conflict', message: 'it changed' });
    await assert.rejects(
      kube.update(PODS, { metadata: { name: 'a', namespace: 'shop' } }),
      (error: KubeError) => {
        assert.deepEqual([error.status, error.reason], [409, 'Conflict']);
        assert.equal(error.message, 'Cannot update Pod shop/a: it changed (409)');
        return true;
      },
    );
    answer = (_, response) => response.writeHead(404).end('not here');
    assert.equal(await kube.get(PODS, 'a', 'shop'), undefined);
    await assert.rejects(kube.delete(PODS, 'a', 'shop'), { status: 404 });
  });

  test('an answer that is no JSON is an error, not an object', async () => {
    answer = (_, response) => response.writeHead(200).end('<html>');
    await assert.rejects(kube.list(PODS), { name: 'KubeError', reason: 'Malformed' });
  });

  test('watch events arrive as they are written, whatever the chunks', async () => {
    answer = (_, response) => {
      response.writeHead(200);
      const text = ['ADDED', 'MODIFIED', 'BOOKMARK']
        .map(
          (type, at) =>
            `${JSON.stringify({ type, object: { metadata: { name: 'ä', resourceVersion: `${at}` } } })}\n`,
        )
        .join('');
      for (const byte of Buffer.from(text)) response.write(Buffer.of(byte));
      response.end();
    };
    const events: WatchEvent<KubeObject>[] = [];
    const request = await asked(() =>
      kube.watch(
        PODS,
        { resourceVersion: '7', timeoutSeconds: 3 },
        (e) => events.push(e),
        new AbortController().signal,
      ),
    );
    assert.match(
      request.url,
      /resourceVersion=7&timeoutSeconds=3&watch=true&allowWatchBookmarks=true/,
    );
    assert.deepEqual(
      events.map(({ type, object }) => `${type} ${object.metadata.name}`),
      ['ADDED ä', 'MODIFIED ä', 'BOOKMARK ä'],
    );
  });

  test('an answer that is no list is an error, never an empty cluster; one of null is empty', async () => {
    for (const body of [{}, { kind: 'Status', status: 'Success' }, { metadata: {}, items: 'x' }]) {
      answer = (_, response) => json(response, 200, body);
      await assert.rejects(kube.list(PODS), { reason: 'Malformed' }, JSON.stringify(body));
    }
    answer = (_, response) => json(response, 200, 'null');
    await assert.rejects(kube.list(PODS), { reason: 'Malformed' });
    answer = (_, response) => json(response, 200, { metadata: {}, items: null });
    assert.deepEqual((await kube.list(PODS)).items, []);
  });

  test('an object as large as etcd takes is one event, and what follows it comes too', async () => {
    const note = 'x'.repeat(1_500_000);
    answer = (_, response) => {
      response.writeHead(200);
      for (const annotations of [{ note }, {}]) {
        const metadata = { name: 'a', resourceVersion: '1', annotations };
        response.write(`${JSON.stringify({ type: 'MODIFIED', object: { metadata } })}\n`);
      }
      response.end();
    };
    const sizes: (number | undefined)[] = [];
    const { signal } = new AbortController();
    await kube.watch<Pod>(
      PODS,
      { resourceVersion: '7' },
      ({ object }) => sizes.push(object.metadata.annotations?.['note']?.length),
      signal,
    );
    assert.deepEqual(sizes, [note.length, undefined]);
  });

  test('a watch that says what is no JSON, or no event, rejects after what came before', async () => {
    const event = JSON.stringify({ type: 'ADDED', object: { metadata: { name: 'a' } } });
    for (const rest of ['{"type":\n', '\0\n', 'null\n', '{}\n', '{"type":"ADDED"}\n']) {
      answer = (_, response) => {
        response.writeHead(200).end(`${event}\n${rest}`);
      };
      const seen: string[] = [];
      await assert.rejects(
        kube.watch<Pod>(
          PODS,
          { resourceVersion: '7' },
          ({ object }) => seen.push(object.metadata.name ?? ''),
          new AbortController().signal,
        ),
        JSON.stringify(rest),
      );
      assert.deepEqual(seen, ['a'], JSON.stringify(rest));
    }
  });

  test('an ERROR event of a watch rejects with its status', async () => {
    answer = (_, response) => {
      response.end(
        `${JSON.stringify({ type: 'ERROR', object: { code: 410, reason: 'Expired', message: 'old' } })}\n`,
      );
    };
    await assert.rejects(
      kube.watch(PODS, { resourceVersion: '1' }, () => {}, new AbortController().signal),
      { status: 410, reason: 'Expired' },
    );
  });

  test('aborting ends a watch with the reason', async () => {
    const stop = new AbortController();
    answer = (_, response) => {
      response.writeHead(200).flushHeaders();
      stop.abort(new Error('enough'));
    };
    await assert.rejects(
      kube.watch(PODS, { resourceVersion: '1' }, () => {}, stop.signal),
      /enough/,
    );
  });

  test('an unreachable server is a KubeError of status 0 that names its address', async () => {
    const config = { server: 'http://127.0.0.1:9', 'insecure-skip-tls-verify': true };
    const file = join(folder, 'away');
    await writeFile(
      file,
      JSON.stringify({
        clusters: [{ name: 'c', cluster: config }],
        users: [{ name: 'u', user: {} }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    );
    const away = await connectKubernetes({ kubeconfig: file });
    await assert.rejects(away.list(PODS), (error: KubeError) => {
      assert.equal(error.status, 0);
      assert.match(
        error.message,
        /Cannot list pods: Kubernetes API at http:\/\/127\.0\.0\.1:9: .*ECONNREFUSED/,
      );
      return true;
    });
    await assert.rejects(
      connectKubernetes({ kubeconfig: join(folder, 'none') }),
      /Cannot read the Kubernetes configuration from .*none/,
    );
    await assert.rejects(
      connectKubernetes({ kubeconfig: file, context: 'nowhere' }),
      /Cannot find a Kubernetes cluster/,
    );
  });

  test('a dropped watch connection is followed by another from the last version', async () => {
    const pod = (name: string, resourceVersion: string): Pod => ({
      metadata: { name, namespace: 'shop', resourceVersion },
      spec: { containers: [] },
    });
    const twice = Promise.withResolvers<string>();
    let watches = 0;
    answer = ({ url }, response) => {
      if (!url.includes('watch=true')) {
        json(response, 200, { metadata: { resourceVersion: '3' }, items: [pod('a', '3')] });
      } else if (watches++ === 0) {
        response
          .writeHead(200)
          .write(`${JSON.stringify({ type: 'ADDED', object: pod('b', '8') })}\n`, () => {
            response.destroy();
          });
      } else twice.resolve(url);
    };
    const informer = inform<Pod>({ client: kube, clock: systemClock, log: silentLog }, PODS);
    assert.match(await twice.promise, /resourceVersion=8&/);
    assert.deepEqual(
      [...informer.items()].map((found) => found.metadata.name),
      ['a', 'b'],
    );
    await informer.close();
  });
});
