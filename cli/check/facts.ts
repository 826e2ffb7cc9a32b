// What `ambit check` judges: facts of the cluster, asked for once and kept as one value. Called by commands/check.ts.
// Invariant: an answer that cannot be had is a fact too (`error`), never a crash.

import { type KubeClient, KubeError } from '../../runtime/kubernetes/client.ts';
import type {
  KubeObject,
  Lease,
  Namespace,
  NetworkPolicy,
  Node,
  Pod,
} from '../../runtime/kubernetes/objects.ts';
import {
  CUSTOM_RESOURCE_DEFINITIONS,
  LEASES,
  NAMESPACES,
  NETWORK_POLICIES,
  NODES,
  PODS,
  type Resource,
  SELF_SUBJECT_ACCESS_REVIEWS,
} from '../../runtime/kubernetes/resources.ts';

export type Answer<T> = { readonly value: T } | { readonly error: string };

/** A right the installing person needs: the verb on every object of the resource. */
export type Right = { readonly verb: string; readonly resource: Resource };

export type ClusterFacts = {
  /** Kubernetes' own version text, e.g. `v1.32.0`. */
  readonly version: Answer<string>;
  readonly nodes: Answer<readonly Node[]>;
  /** The kubelets' heartbeats, for their clocks. */
  readonly heartbeats: Answer<readonly Lease[]>;
  readonly namespaces: Answer<readonly Namespace[]>;
  readonly definitions: Answer<readonly KubeObject[]>;
  readonly pods: Answer<readonly Pod[]>;
  readonly networkPolicies: Answer<readonly NetworkPolicy[]>;
  readonly rights: readonly (Right & { readonly granted: Answer<boolean> })[];
  /** This machine's clock when the facts were asked for, unix milliseconds. */
  readonly now: number;
};

const HEARTBEATS = 'kube-node-lease';

export async function gatherFacts(
  client: KubeClient,
  rights: readonly Right[],
  now: () => number,
): Promise<ClusterFacts> {
  const list = <T extends KubeObject>(resource: Resource, namespace?: string) =>
    answer(async () => (await client.list<T>(resource, namespace ? { namespace } : {})).items);
  const [version, nodes, heartbeats, namespaces, definitions, pods, networkPolicies, granted] =
    await Promise.all([
      answer(async () => (await client.version()).gitVersion),
      list<Node>(NODES),
      list<Lease>(LEASES, HEARTBEATS),
      list<Namespace>(NAMESPACES),
      list<KubeObject>(CUSTOM_RESOURCE_DEFINITIONS),
      list<Pod>(PODS),
      list<NetworkPolicy>(NETWORK_POLICIES),
      Promise.all(rights.map((right) => mayI(client, right))),
    ]);
  return {
    version,
    nodes,
    heartbeats,
    namespaces,
    definitions,
    pods,
    networkPolicies,
    rights: rights.map((right, index) => ({
      ...right,
      granted: granted[index] ?? { error: 'not asked' },
    })),
    now: now(),
  };
}

function mayI(client: KubeClient, { verb, resource }: Right): Promise<Answer<boolean>> {
  return answer(async () => {
    const review = await client.create<KubeObject & { status?: { allowed?: boolean } }>(
      SELF_SUBJECT_ACCESS_REVIEWS,
      {
        metadata: {},
        spec: { resourceAttributes: { verb, group: resource.group, resource: resource.plural } },
      } as KubeObject,
    );
    return review.status?.allowed === true;
  });
}

async function answer<T>(ask: () => Promise<T>): Promise<Answer<T>> {
  try {
    return { value: await ask() };
  } catch (error) {
    if (error instanceof KubeError) return { error: error.message };
    throw error;
  }
}
