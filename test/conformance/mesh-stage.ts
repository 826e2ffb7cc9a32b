// The stage of the mesh tests, as the Gateway API's suite has it: echoes in two versions behind Services, a second
// namespace with a client of its own; all of it enrolled, with a waypoint for the first. Called by mesh.test.ts and others
// that need a mesh with L7.

import type { Pod } from '../../runtime/kubernetes/objects.ts';
import {
  DEPLOYMENTS,
  GATEWAYS,
  NAMESPACES,
  PODS,
  SERVICES,
} from '../../runtime/kubernetes/resources.ts';
import { MODE, REDIRECTION } from '../support/enrolled.ts';
import type { PodName } from '../support/pod-api.ts';
import type { Sandbox } from '../support/sandbox.ts';
import { waitFor } from '../support/wait-for.ts';
import { expectGateway } from './gateway-status.ts';
import { USE_WAYPOINT, WAYPOINT_CLASS } from './names.ts';
import { echoDeployment, echoService, type Object, type Version } from './objects.ts';
import type { Clients } from './requests.ts';

export const MESH = 'gateway-conformance-mesh';
export const CONSUMER = 'gateway-conformance-mesh-consumer';
const WAYPOINT = 'waypoint';

/** Its clients: `v1` and `v2` in the namespace of the backends, `consumer` in the other. */
export type MeshStage = Clients & {
  readonly ips: Readonly<Record<'v1' | 'v2', string>>;
};

export async function openMeshStage(sandbox: Sandbox): Promise<MeshStage> {
  const { client } = sandbox;
  await client.create<Object>(NAMESPACES, {
    metadata: { name: MESH, labels: { [MODE]: 'ambient', [USE_WAYPOINT]: WAYPOINT } },
  });
  await client.create<Object>(NAMESPACES, {
    metadata: { name: CONSUMER, labels: { [MODE]: 'ambient' } },
  });
  await openWaypoint(sandbox, MESH, WAYPOINT);
  for (const version of ['v1', 'v2'] as const) {
    const labels = { app: 'echo', version };
    await client.create(DEPLOYMENTS, echoDeployment(MESH, `echo-${version}`, labels));
    await client.create(SERVICES, echoService(MESH, `echo-${version}`, version));
  }
  await client.create(SERVICES, echoService(MESH, 'echo', 'both'));
  await client.create(
    DEPLOYMENTS,
    echoDeployment(CONSUMER, 'echo-v1', { app: 'echo', version: 'v1' }),
  );
  await Promise.all([sandbox.rolledOut(MESH), sandbox.rolledOut(CONSUMER)]);
  await Promise.all([MESH, CONSUMER].map((namespace) => echoesEnrolled(sandbox, namespace)));
  const [v1, v2, consumer] = await Promise.all([
    podOf(sandbox, MESH, 'app=echo,version=v1'),
    podOf(sandbox, MESH, 'app=echo,version=v2'),
    podOf(sandbox, CONSUMER, 'app=echo'),
  ]);
  return {
    sandbox,
    namespace: MESH,
    usual: 'v1',
    pods: { v1: nameOf(v1), v2: nameOf(v2), consumer: nameOf(consumer) },
    ips: { v1: v1.status?.podIP ?? '', v2: v2.status?.podIP ?? '' },
  };
}

/** A Service of a test's own, so that its routes meet no other test's. */
export async function openFront(
  { sandbox, namespace }: Clients,
  name: string,
  version: Version,
): Promise<void> {
  await sandbox.client.create(SERVICES, echoService(namespace, name, version));
}

/** Resolves when it is programmed. */
export async function openWaypoint(
  sandbox: Sandbox,
  namespace: string,
  name: string,
): Promise<void> {
  await sandbox.client.create<Object>(GATEWAYS, {
    metadata: { name, namespace },
    spec: {
      gatewayClassName: WAYPOINT_CLASS,
      listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
    },
  });
  await expectGateway(sandbox, namespace, name);
}

function echoesEnrolled({ client }: Sandbox, namespace: string): Promise<unknown> {
  return waitFor<Pod>(client, PODS, { namespace, labelSelector: 'app=echo' }, (pods) =>
    pods.every(({ metadata }) => metadata.annotations?.[REDIRECTION] === 'enabled'),
  );
}

async function podOf({ client }: Sandbox, namespace: string, labelSelector: string): Promise<Pod> {
  const { items } = await client.list<Pod>(PODS, { namespace, labelSelector });
  const [pod] = items;
  if (pod === undefined) throw new Error(`No pod in ${namespace} has the labels ${labelSelector}`);
  return pod;
}

function nameOf({ metadata }: Pod): PodName {
  return { namespace: metadata.namespace ?? '', name: metadata.name ?? '' };
}
