// Routes of a test on their way into the cluster: created, their status as expected, and gone again. Called by every test.

import type { Resource } from '../../runtime/kubernetes/resources.ts';
import type { Sandbox } from '../support/sandbox.ts';
import { waitFor } from '../support/wait-for.ts';
import type { RouteObject } from './objects.ts';
import { ALL_IS_WELL, type Route, statusProblems, type Verdicts } from './route-status.ts';

// the suite gives it 60 s
const STATUS_MS = 30_000;

export async function attach(
  sandbox: Sandbox,
  routes: readonly RouteObject[],
  verdicts: Verdicts | readonly Verdicts[] = ALL_IS_WELL,
): Promise<void> {
  await Promise.all(
    routes.map(async ({ resource, object }) => {
      await sandbox.client.create(resource, object);
      await expectStatus(sandbox, { resource, ...nameOf(object) }, verdicts);
    }),
  );
}

/** @throws Error with what is wrong with the status, when it still is after 30 s */
export async function expectStatus(
  { client }: Sandbox,
  route: { readonly resource: Resource; readonly namespace: string; readonly name: string },
  verdicts: Verdicts | readonly Verdicts[],
): Promise<void> {
  const { resource, namespace, name } = route;
  let problems = ['there is no such object'];
  try {
    await waitFor<Route>(client, resource, { namespace, timeoutMs: STATUS_MS }, (all) => {
      const one = all.find(({ metadata }) => metadata.name === name);
      if (one !== undefined) problems = statusProblems(one, verdicts);
      return problems.length === 0;
    });
  } catch (cause) {
    throw new Error(`Status of ${resource.kind} ${namespace}/${name}: ${problems.join('; ')}`, {
      cause,
    });
  }
}

export async function detach({ client }: Sandbox, routes: readonly RouteObject[]): Promise<void> {
  for (const { resource, object } of routes) {
    const { namespace, name } = nameOf(object);
    await client.delete(resource, name, namespace);
  }
}

function nameOf({ metadata }: RouteObject['object']): { namespace: string; name: string } {
  return { namespace: metadata.namespace ?? '', name: metadata.name ?? '' };
}
