// What the verbs of `ambit waypoint` do in a cluster: apply, wait, delete, label. Called by commands/waypoint.ts. Everything
// said goes through `tell` and `warn`; the functions decide nothing about exit codes but by throwing.

import { MODE_LABEL, modeOfLabels } from '../../mesh/namespace.ts';
import { USE_WAYPOINT, USE_WAYPOINT_NAMESPACE, WAYPOINT_CLASS } from '../../mesh/waypoint.ts';
import type { Clock } from '../../runtime/clock.ts';
import { type KubeClient, KubeError } from '../../runtime/kubernetes/client.ts';
import type { Gateway } from '../../runtime/kubernetes/gateway-objects.ts';
import type { KubeObject, Namespace } from '../../runtime/kubernetes/objects.ts';
import { GATEWAYS, NAMESPACES, SERVICES } from '../../runtime/kubernetes/resources.ts';
import { CommandFailure } from '../exit.ts';
import { type WaypointWish, waypointManifest } from './manifest.ts';
import { isWaypoint, rowOf, type WaypointRow } from './rows.ts';

export type WaypointParts = {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** A line for who watches. */
  readonly tell: (line: string) => void;
  /** Something that is done and may not be what was meant. */
  readonly warn: (line: string) => void;
};

const FIELD_MANAGER = 'ambit-cli';
/** A status moves within a second of what it tells. */
const POLL_MS = 500;
const NO_GATEWAY_API =
  'the Gateway API is not installed in this cluster. Install it: kubectl apply --server-side -f https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.6.1/standard-install.yaml';

/** @throws CommandFailure when the namespace is not there, or somebody else's Gateway has the name */
export async function applyWaypoint(
  { client, tell, warn }: WaypointParts,
  wish: WaypointWish,
  options: { readonly enrollNamespace: boolean; readonly overwrite: boolean },
): Promise<void> {
  const { name, namespace } = wish;
  const place = await client.get<Namespace>(NAMESPACES, namespace);
  if (place === undefined) {
    throw new CommandFailure(
      `Cannot apply waypoint ${namespace}/${name}: namespace "${namespace}" does not exist. Make it: kubectl create namespace ${namespace}`,
    );
  }
  const named = place.metadata.labels?.[USE_WAYPOINT];
  const other = named !== undefined && named !== '' && named !== name ? named : undefined;
  // before anything is made: half of what was asked for is worse than none
  if (options.enrollNamespace && other !== undefined && !options.overwrite) {
    throw new CommandFailure(
      `Cannot make namespace ${namespace} use waypoint ${name}: it uses ${other}. Change it with --overwrite`,
    );
  }
  const present = await client.get<Gateway>(GATEWAYS, name, namespace);
  if (present !== undefined && !isWaypoint(present)) {
    throw new CommandFailure(
      `Cannot apply waypoint ${namespace}/${name}: a Gateway of class ${present.spec.gatewayClassName} has that name. Choose another with --name`,
    );
  }
  await ofGatewayApi(`apply waypoint ${namespace}/${name}`, () =>
    client.apply(GATEWAYS, waypointManifest(wish), { fieldManager: FIELD_MANAGER, force: true }),
  );
  tell(`waypoint ${namespace}/${name} applied`);
  if (options.enrollNamespace) {
    await client.patch(NAMESPACES, namespace, undefined, {
      metadata: { labels: { [USE_WAYPOINT]: name, [USE_WAYPOINT_NAMESPACE]: null } },
    });
    tell(`namespace ${namespace} labelled with "${USE_WAYPOINT}: ${name}"`);
  } else if (named === undefined) {
    tell(
      `nothing goes through it yet. Let the namespace use it: kubectl label namespace ${namespace} ${USE_WAYPOINT}=${name}`,
    );
  }
  if (modeOfLabels(place.metadata.labels) !== 'ambient') {
    warn(
      `namespace ${namespace} is not in the mesh: only callers that are go through a waypoint. Add it: kubectl label namespace ${namespace} ${MODE_LABEL}=ambient`,
    );
  }
}

/** Until it is programmed, telling each new reason it is not. @throws CommandFailure after `timeoutMs` (0: never) */
export async function waitForWaypoint(
  { client, clock, tell }: WaypointParts,
  { name, namespace }: Pick<WaypointWish, 'name' | 'namespace'>,
  timeoutMs: number,
): Promise<WaypointRow> {
  const started = clock.monotonic();
  let told = '';
  for (;;) {
    const gateway = await client.get<Gateway>(GATEWAYS, name, namespace);
    if (gateway === undefined) {
      throw new CommandFailure(`Waypoint ${namespace}/${name} is not there any more`);
    }
    const row = rowOf(gateway);
    if (row.programmed === 'True') return row;
    const line = `waiting: ${row.message}`;
    if (line !== told) tell(line);
    told = line;
    if (timeoutMs > 0 && clock.monotonic() - started >= timeoutMs) {
      throw new CommandFailure(
        `Waypoint ${namespace}/${name} is not ready after ${timeoutMs / 1000} s (${row.reason}): ${row.message}. See why: kubectl -n ${namespace} describe gateway ${name}; kubectl -n ${namespace} get pods -l gateway.networking.k8s.io/gateway-name=${name}`,
      );
    }
    await clock.sleep(POLL_MS);
  }
}

/** Of one namespace, or of all without one; none in a cluster without the Gateway API. */
export async function listWaypoints(
  client: KubeClient,
  namespace: string | undefined,
): Promise<Gateway[]> {
  const { items } = await ofGatewayApi('list waypoints', () =>
    client.list<Gateway>(GATEWAYS, namespace === undefined ? {} : { namespace }),
  );
  return items.filter(isWaypoint);
}

/** @throws CommandFailure when one is not there; the others are deleted all the same */
export async function deleteWaypoints(
  { client, tell, warn }: WaypointParts,
  namespace: string,
  names: readonly string[],
): Promise<void> {
  const missing: string[] = [];
  for (const name of names) {
    const gateway = await ofGatewayApi(`delete waypoint ${namespace}/${name}`, () =>
      client.get<Gateway>(GATEWAYS, name, namespace),
    );
    if (gateway === undefined || !isWaypoint(gateway)) {
      missing.push(name);
      continue;
    }
    await client.delete(GATEWAYS, name, namespace);
    tell(`waypoint ${namespace}/${name} deleted`);
    for (const user of await usersOf(client, namespace, name)) {
      warn(
        `${user.shown} still has label ${USE_WAYPOINT}=${name}: its connections fail until the label is gone. Take it away: kubectl label ${user.address} ${USE_WAYPOINT}-`,
      );
    }
  }
  if (missing.length > 0) {
    throw new CommandFailure(
      `Cannot delete ${missing.map((name) => `${namespace}/${name}`).join(', ')}: no Gateway of class ${WAYPOINT_CLASS} has that name. See them: ambit waypoint list -A`,
    );
  }
}

/** Namespaces and Services whose own label names it. */
async function usersOf(
  client: KubeClient,
  namespace: string,
  name: string,
): Promise<{ shown: string; address: string }[]> {
  const selector = { labelSelector: `${USE_WAYPOINT}=${name}` };
  const isUser = ({ metadata }: KubeObject, place: string): boolean =>
    (metadata.labels?.[USE_WAYPOINT_NAMESPACE] ?? place) === namespace;
  const [namespaces, services] = await Promise.all([
    client.list<Namespace>(NAMESPACES, selector),
    client.list<KubeObject>(SERVICES, selector),
  ]);
  return [
    ...namespaces.items
      .filter((one) => isUser(one, one.metadata.name ?? ''))
      .map(({ metadata }) => ({
        shown: `namespace ${metadata.name}`,
        address: `namespace ${metadata.name}`,
      })),
    ...services.items
      .filter((one) => isUser(one, one.metadata.namespace ?? ''))
      .map(({ metadata }) => ({
        shown: `service ${metadata.namespace}/${metadata.name}`,
        address: `service ${metadata.name} -n ${metadata.namespace}`,
      })),
  ];
}

async function ofGatewayApi<T>(what: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) {
      throw new CommandFailure(`Cannot ${what}: ${NO_GATEWAY_API}`, { cause: error });
    }
    throw error;
  }
}
