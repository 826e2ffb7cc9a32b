// Applications made with what npm has, through a waypoint: gRPC of every kind by @grpc/grpc-js, WebSockets by ws, and HTTP
// that is odd but lawful. Both ends are programs in pods (programs/). Run by mesh.test.ts; the outcome must be the one that
// the same programs have by the pod's own address, which leads through no waypoint.

import assert from 'node:assert/strict';
import { entryPath } from '../../runtime/entry.ts';
import { SERVICES } from '../../runtime/kubernetes/resources.ts';
import type { PodName } from '../support/pod-api.ts';
import { startPod } from '../support/traffic.ts';
import { MESH, type MeshStage } from './mesh-stage.ts';
import { grpcRoute, httpRoute, type Object, type RouteObject, serviceParent } from './objects.ts';
import { attach } from './routes.ts';

type InteropTest = { readonly name: string; readonly run: (stage: MeshStage) => Promise<void> };

const TALK_OUTCOME = {
  trailers: { text: 'trailers', head: ['one, two'], trailer: ['after the message'] },
  failure: {
    code: 9,
    details: 'not today: 100 % “no”',
    reason: ['as asked'],
    binary: '0001feff',
  },
  deadline: { code: 4 },
  big: { length: 1024 * 1024 },
  many: { right: 100 },
  counted: { texts: ['1', '2', '3', '4', '5'], code: 0, trailer: ['5'] },
  cancelled: { seen: 3, code: 1 },
  summed: { text: '10' },
  chatted: { texts: ['word 0', 'word 1', 'word 2', 'word 3', 'word 4'], code: 0 },
};

const WEB_OUTCOME = {
  events: { seen: ['data: 1', 'data: 2', 'data: 3'] },
  earlyHints: {
    hint: { statusCode: 103, link: '</style.css>; rel=preload; as=style' },
    status: 200,
  },
  continued: { continued: true, status: 200, text: 'body' },
  refused: { continued: false, status: 417, text: '' },
  trailers: { text: 'body', sum: '42' },
  withoutBody: { head: [200, ''], nothing: [204, ''], same: [304, '"x"'] },
  bigBody: { status: 200, length: 1024 * 1024 },
  webSocket: {
    protocol: 'v2.talk',
    back: ['text', `${2 * 1024 * 1024} bytes`],
    pong: true,
    code: 4001,
    reason: 'as asked',
  },
};

/** The words that run one of programs/. */
function programWords(name: string, ...args: readonly string[]): string[] {
  return [process.execPath, entryPath(`test/conformance/programs/${name}`), ...args];
}

export const INTEROP: readonly InteropTest[] = [
  {
    name: '@grpc/grpc-js: all four kinds of calls, trailers, deadlines, cancellation',
    async run(stage) {
      const { sandbox } = stage;
      const port = { name: 'grpc', port: 7070 };
      const { ip, ...server } = await openProgram(stage, 'talk-server', port);
      const cancelled = async (key: string): Promise<void> => {
        for (const line of [`CANCELLED sleep ${key}`, `CANCELLED forever ${key}`]) {
          await sandbox.logLine(server, (one) => (one === line ? true : undefined));
        }
      };
      assert.deepEqual(await outcomeOf(stage, 'talk-client', `${ip}:7070`, 'direct'), TALK_OUTCOME);
      await cancelled('direct');
      await attach(sandbox, [routed(grpcRoute, 'talk-server', 7070)]);
      const through = await outcomeOf(stage, 'talk-client', 'talk-server:7070', 'through');
      assert.deepEqual(through, TALK_OUTCOME);
      await cancelled('through');
    },
  },
  {
    name: 'ws and HTTP: streams both ways, hints, continuation, trailers, no bodies, large bodies',
    async run(stage) {
      const port = { name: 'http', port: 80, targetPort: 8080 };
      const { ip } = await openProgram(stage, 'web-server', port);
      assert.deepEqual(await outcomeOf(stage, 'web-client', `${ip}:8080`), WEB_OUTCOME);
      await attach(stage.sandbox, [routed(httpRoute, 'web-server', 80)]);
      assert.deepEqual(await outcomeOf(stage, 'web-client', 'web-server'), WEB_OUTCOME);
    },
  },
];

/** In a pod behind a Service of the same name; resolves when it listens. */
async function openProgram(
  { sandbox }: MeshStage,
  name: string,
  port: object,
): Promise<PodName & { readonly ip: string }> {
  await sandbox.client.create<Object>(SERVICES, {
    metadata: { name, namespace: MESH },
    spec: { selector: { app: name }, ports: [port] },
  });
  const pod = { namespace: MESH, name };
  const { status } = await startPod(sandbox, {
    ...pod,
    image: 'host',
    command: programWords(name),
  });
  await sandbox.logLine(pod, (line) => (line === 'LISTENING' ? true : undefined));
  return { ...pod, ip: status?.podIP ?? '' };
}

function routed(
  route: (namespace: string, name: string, spec: object) => RouteObject,
  name: string,
  port: number,
): RouteObject {
  return route(MESH, name, {
    parentRefs: [serviceParent(name, port)],
    rules: [{ backendRefs: [{ name, port }] }],
  });
}

async function outcomeOf(
  { sandbox, pods }: MeshStage,
  program: string,
  ...args: readonly string[]
): Promise<unknown> {
  const { code, stdout, stderr } = await sandbox.exec(pods['v1']!, programWords(program, ...args));
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as unknown;
}
