// What is wrong with the status of a Gateway, its listeners included. Pure but for expectGateway(), which watches for it.
// Called by the gateway tests.

import type { Condition, KubeObject } from '../../runtime/kubernetes/objects.ts';
import { GATEWAYS } from '../../runtime/kubernetes/resources.ts';
import type { Sandbox } from '../support/sandbox.ts';
import { waitFor } from '../support/wait-for.ts';
import { conditionProblems, type Verdict } from './conditions.ts';

export type Gateway = KubeObject & {
  readonly spec: { readonly listeners: readonly { readonly name: string }[] };
  readonly status?: {
    readonly addresses?: readonly { readonly type?: string; readonly value: string }[];
    readonly conditions?: readonly Condition[];
    readonly listeners?: readonly ListenerStatus[];
  };
};

type ListenerStatus = {
  readonly name: string;
  readonly attachedRoutes: number;
  readonly supportedKinds?: readonly { readonly group?: string; readonly kind: string }[];
  readonly conditions: readonly Condition[];
};

export type GatewayVerdict = {
  readonly conditions?: Readonly<Record<string, Verdict>>;
  /** By name. A listener that is not named here is only counted. */
  readonly listeners?: Readonly<Record<string, ListenerVerdict>>;
};

export type ListenerVerdict = {
  readonly conditions?: Readonly<Record<string, Verdict>>;
  readonly attachedRoutes?: number;
  /** In any order. */
  readonly supportedKinds?: readonly string[];
};

export const PROGRAMMED: GatewayVerdict = { conditions: { Accepted: 'True', Programmed: 'True' } };
export const LISTENING: ListenerVerdict = {
  conditions: { Accepted: 'True', Programmed: 'True', ResolvedRefs: 'True' },
};

// the suite gives an address and conditions 180 s; a sandbox starts a process in a few
const GATEWAY_MS = 60_000;

export function gatewayProblems(gateway: Gateway, verdict: GatewayVerdict): string[] {
  const { status = {}, spec, metadata } = gateway;
  const generation = metadata.generation ?? 0;
  const told = (status.listeners ?? []).map(({ name }) => name);
  const problems = conditionProblems(status.conditions ?? [], verdict.conditions ?? {}, generation);
  if (verdict.conditions?.['Programmed'] === 'True') {
    const typed = (status.addresses ?? []).filter(({ type }) => type !== undefined);
    if (typed.length === 0) problems.push('it has no address with a type');
  }
  const names = spec.listeners.map(({ name }) => name);
  if (told.toSorted().join() !== names.toSorted().join()) {
    problems.push(`its status is of the listeners ${told.join()}, expected ${names.join()}`);
  }
  for (const [name, wanted] of Object.entries(verdict.listeners ?? {})) {
    const listener = status.listeners?.find((one) => one.name === name);
    const found = listener === undefined ? [] : listenerProblems(listener, wanted, generation);
    problems.push(...found.map((problem) => `listener ${name}: ${problem}`));
  }
  return problems;
}

function listenerProblems(
  listener: ListenerStatus,
  { conditions = {}, attachedRoutes, supportedKinds }: ListenerVerdict,
  generation: number,
): string[] {
  const problems = conditionProblems(listener.conditions, conditions, generation);
  const attached = listener.attachedRoutes;
  if (attachedRoutes !== undefined && attachedRoutes !== attached) {
    problems.push(`${attached} routes are attached, expected ${attachedRoutes}`);
  }
  const kinds = (listener.supportedKinds ?? []).map(({ kind }) => kind).toSorted();
  if (supportedKinds !== undefined && supportedKinds.toSorted().join() !== kinds.join()) {
    problems.push(`supportedKinds are ${kinds.join()}, expected ${supportedKinds.join()}`);
  }
  return problems;
}

/** Resolves with it once its status is as expected. @throws Error with what is wrong when it still is after a minute */
export async function expectGateway(
  { client }: Sandbox,
  namespace: string,
  name: string,
  verdict: GatewayVerdict = PROGRAMMED,
): Promise<Gateway> {
  let problems = ['there is no such object'];
  let found: Gateway | undefined;
  const where = { namespace, timeoutMs: GATEWAY_MS };
  try {
    await waitFor<Gateway>(client, GATEWAYS, where, (all) => {
      const one = all.find(({ metadata }) => metadata.name === name);
      if (one !== undefined) problems = gatewayProblems(one, verdict);
      if (problems.length === 0) found = one;
      return problems.length === 0;
    });
  } catch (cause) {
    throw new Error(`Status of Gateway ${namespace}/${name}: ${problems.join('; ')}`, { cause });
  }
  return found!;
}
