// Namespaces with echoes and a load generator in them, as objects to create, and what the load generator has counted.
// Used by end-to-end tests.

import { getThroughPod } from '../../cli/cluster/pod-http.ts';
import { entryPath } from '../../runtime/entry.ts';
import type { KubeObject, Pod } from '../../runtime/kubernetes/objects.ts';
import {
  DEPLOYMENTS,
  NAMESPACES,
  PODS,
  type Resource,
  SERVICES,
} from '../../runtime/kubernetes/resources.ts';
import type { EchoAnswer } from '../../sandbox/apps/echo/answer.ts';
import type { Tally } from '../../sandbox/apps/load/tally.ts';
import type { Sandbox } from './sandbox.ts';
import { waitFor } from './wait-for.ts';

type Object = KubeObject & Readonly<Record<string, unknown>>;

/** Where an image listens once it is ready; a pod of `host` is ready when it runs. */
const READY_PORTS = { echo: 8080, load: 8081, host: undefined } as const;

/** What our apps want to know of their pod. */
const PLACE = {
  POD_NAME: 'metadata.name',
  POD_NAMESPACE: 'metadata.namespace',
  POD_IP: 'status.podIP',
};

export type Variables = Readonly<Record<string, string>>;

/** An echo on each node behind Service `echo`, ready when this resolves. */
export async function openEchoes(
  sandbox: Sandbox,
  namespace: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<void> {
  await sandbox.client.create<Object>(NAMESPACES, { metadata: { name: namespace, labels } });
  const app = { app: 'echo' };
  await create(sandbox, SERVICES, {
    metadata: { name: 'echo', namespace },
    spec: {
      selector: app,
      ipFamilyPolicy: 'PreferDualStack',
      ports: [
        { name: 'http', port: 8080 },
        { name: 'tcp-line', port: 9090 },
      ],
    },
  });
  await create(sandbox, DEPLOYMENTS, {
    metadata: { name: 'echo', namespace },
    spec: {
      replicas: 2,
      selector: { matchLabels: app },
      template: {
        metadata: { labels: app },
        spec: podSpec({ image: 'echo' }, READY_PORTS.echo, onEachNode(app)),
      },
    },
  });
  await sandbox.rolledOut(namespace);
}

/** A pod of one of our images, running and ready when this resolves. */
export async function startPod(
  sandbox: Sandbox,
  pod: {
    readonly namespace: string;
    readonly name: string;
    readonly image: 'echo' | 'load' | 'host';
    /** Of image `host`: any command of this machine. */
    readonly command?: readonly string[];
    readonly variables?: Variables;
    readonly node?: string;
    readonly account?: string;
    readonly labels?: Readonly<Record<string, string>>;
  },
): Promise<Pod> {
  const { namespace, name, image, variables = {}, labels = {} } = pod;
  const place = {
    ...(pod.node === undefined ? {} : { nodeName: pod.node }),
    ...(pod.account === undefined ? {} : { serviceAccountName: pod.account }),
  };
  await create(sandbox, PODS, {
    metadata: { name, namespace, labels: { app: name, ...labels } },
    spec: podSpec({ image, variables, command: pod.command }, READY_PORTS[image], place),
  });
  const isReady = ({ metadata, status }: Pod): boolean =>
    metadata.name === name &&
    (status?.conditions ?? []).some((one) => one.type === 'Ready' && one.status === 'True');
  const pods = await waitFor<Pod>(sandbox.client, PODS, { namespace }, (all) => all.some(isReady));
  return pods.find(isReady)!;
}

export async function endPod(sandbox: Sandbox, namespace: string, name: string): Promise<void> {
  await sandbox.client.delete(PODS, name, namespace, { gracePeriodSeconds: 1 });
  await waitFor(sandbox.client, PODS, { namespace }, (pods) =>
    pods.every(({ metadata }) => metadata.name !== name),
  );
}

/** The first count of a load generator, from now on, that satisfies `holds`; it counts once a second. */
export function tallyWhen(
  sandbox: Sandbox,
  pod: { readonly namespace: string; readonly name: string },
  holds: (tally: Counts) => boolean,
): Promise<Counts> {
  return sandbox.logLine(
    pod,
    (line) => {
      const tally = JSON.parse(line) as Counts;
      return holds(tally) ? tally : undefined;
    },
    // what it printed last is up to a second old: of before whatever the test just did
    { tailLines: 0 },
  );
}

/** What went wrong for a load generator lately, in its own words. */
export async function faultsOf(
  { client }: Sandbox,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Promise<string> {
  const stats = await getThroughPod(client, { namespace, pod: name, port: 8081, path: '/stats' });
  return (JSON.parse(stats) as Tally).faults.join('\n');
}

export type Counts = Omit<Tally, 'faults'>;

export type Called = {
  readonly ok: boolean;
  readonly answer?: EchoAnswer;
  readonly error?: string;
};

/** One new connection from a pod: http://, tcp:// and whatever else the client app speaks. */
export async function call(
  sandbox: Sandbox,
  from: { readonly namespace: string; readonly name: string },
  url: string,
): Promise<Called> {
  const program = [process.execPath, entryPath('sandbox/apps/client/main')];
  const { stdout, stderr } = await sandbox.exec(from, [...program, url]);
  if (stdout === '')
    throw new Error(`The client in ${from.name} said nothing of ${url}: ${stderr}`);
  return JSON.parse(stdout) as Called;
}

function create(sandbox: Sandbox, resource: Resource, object: Object): Promise<Object> {
  return sandbox.client.create<Object>(resource, object);
}

function podSpec(
  container: {
    readonly image: string;
    readonly variables?: Variables | undefined;
    readonly command?: readonly string[] | undefined;
  },
  readyPort: number | undefined,
  rest: object,
): object {
  const { image, variables = {}, command } = container;
  const env = Object.entries(variables).map(([name, value]) => ({ name, value }));
  const place = Object.entries(PLACE).map(([name, fieldPath]) => ({
    name,
    valueFrom: { fieldRef: { fieldPath } },
  }));
  const readinessProbe = { tcpSocket: { port: readyPort }, periodSeconds: 1 };
  return {
    terminationGracePeriodSeconds: 2,
    containers: [
      {
        name: image,
        image: image === 'host' ? image : `ambit-mesh/${image}`,
        env: [...env, ...place],
        ...(command === undefined ? {} : { command }),
        ...(readyPort === undefined ? {} : { readinessProbe }),
      },
    ],
    ...rest,
  };
}

function onEachNode(app: Readonly<Record<string, string>>): object {
  return {
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'DoNotSchedule',
        labelSelector: { matchLabels: app },
      },
    ],
  };
}
