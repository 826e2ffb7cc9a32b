// Is this cluster fit for the mesh, and may this person install it? The checks of `ambit check --pre`; those of them that
// still matter later run in `ambit check` too.

import type { Node } from '../../runtime/kubernetes/objects.ts';
import {
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  CONFIG_MAPS,
  CUSTOM_RESOURCE_DEFINITIONS,
  DAEMON_SETS,
  DEPLOYMENTS,
  NAMESPACES,
  ROLE_BINDINGS,
  ROLES,
  SECRETS,
  SERVICE_ACCOUNTS,
  SERVICES,
} from '../../runtime/kubernetes/resources.ts';
import { type Check, known, none, type Outcome, success } from './check.ts';
import type { ClusterFacts, Right } from './facts.ts';

/** The oldest Kubernetes the mesh is tested with: validation rules in CEL are on by default from 1.25, EndpointSlices older. */
const OLDEST_MINOR = 27;
/** nft redirect, conntrack expressions and cgroup v2 as the agent uses them. */
const OLDEST_KERNEL = [5, 4] as const;
/** containerd offers NRI from 1.7; from 2.0 it is on without being asked for. */
const NRI_CONTAINERD = 2;
/** Certificates are valid from two minutes before they are issued; half of it is left for the node's own drift. */
const MAX_CLOCK_SKEW_MS = 60_000;
/** A kubelet renews its Lease every 10 s and is given up after 40 s. */
const HEARTBEAT_MS = 40_000;

const CREATE = { verb: 'create' } as const;
/** What an installation creates. */
export const INSTALL_RIGHTS: readonly Right[] = [
  NAMESPACES,
  CUSTOM_RESOURCE_DEFINITIONS,
  CLUSTER_ROLES,
  CLUSTER_ROLE_BINDINGS,
  ROLES,
  ROLE_BINDINGS,
  SERVICE_ACCOUNTS,
  SERVICES,
  CONFIG_MAPS,
  SECRETS,
  DEPLOYMENTS,
  DAEMON_SETS,
].map((resource) => ({ ...CREATE, resource }));

export const CLUSTER_CHECKS: readonly Check<ClusterFacts>[] = [
  {
    category: 'kubernetes-api',
    description: 'can query the Kubernetes API',
    fatal: true,
    judge: ({ version }) =>
      known(
        version,
        'Check which cluster your kubeconfig names: kubectl cluster-info',
        () => success,
      ),
  },
  {
    category: 'kubernetes-version',
    description: `is running Kubernetes 1.${OLDEST_MINOR} or newer`,
    judge: ({ version }) => known(version, '', judgeVersion),
  },
  {
    category: 'nodes',
    description: 'has Linux nodes the agent can run on',
    judge: (facts) => nodesJudged(facts, (nodes) => judgeMachines(nodes)),
  },
  {
    category: 'nodes',
    description: `nodes run Linux ${OLDEST_KERNEL.join('.')} or newer`,
    judge: (facts) => nodesJudged(facts, judgeKernels),
  },
  {
    category: 'nodes',
    description: 'container runtimes tell of new pods before they start (NRI)',
    judge: (facts) => nodesJudged(facts, judgeRuntimes),
  },
  {
    category: 'nodes',
    description: 'clocks of nodes agree with this machine',
    judge: judgeClocks,
  },
];

export const INSTALL_CHECKS: readonly Check<ClusterFacts>[] = [
  {
    category: 'pre-install',
    description: 'may create what an installation needs',
    judge: ({ rights }) =>
      none(
        rights.flatMap(({ verb, resource, granted }) => {
          if ('error' in granted) return [`${verb} ${resource.plural}: ${granted.error}`];
          return granted.value ? [] : [`you may not ${verb} ${resource.plural}`];
        }),
        'error',
        'Ask for the role cluster-admin, or let somebody who has it install',
      ),
  },
  {
    category: 'pre-install',
    description: 'pods of the mesh will be admitted to namespace ambit-system',
    judge: judgeAdmission,
  },
  {
    category: 'pre-install',
    description: 'no other mesh works on the same pods',
    judge: judgeOtherMeshes,
  },
];

function judgeVersion(version: string): Outcome {
  const [, major = 0, minor = 0] = /^v?(\d+)\.(\d+)/.exec(version)?.map(Number) ?? [];
  if (major > 1 || (major === 1 && minor >= OLDEST_MINOR)) return success;
  return {
    result: 'error',
    message: `The cluster runs Kubernetes ${version}`,
    remedy: `Upgrade it to 1.${OLDEST_MINOR} or newer`,
  };
}

function nodesJudged({ nodes }: ClusterFacts, judge: (nodes: readonly Node[]) => Outcome): Outcome {
  return known(nodes, 'Check that you may list nodes: kubectl auth can-i list nodes', (all) =>
    judge(all.filter(isLinux)),
  );
}

function isLinux({ status }: Node): boolean {
  return (status?.nodeInfo?.operatingSystem ?? 'linux') === 'linux';
}

function judgeMachines(nodes: readonly Node[]): Outcome {
  if (nodes.length === 0) {
    return {
      result: 'error',
      message: 'The cluster has no Linux node',
      remedy: 'Add one: the agent captures connections with the Linux kernel',
    };
  }
  const foreign = nodes.filter(
    ({ status }) => !['amd64', 'arm64', undefined].includes(status?.nodeInfo?.architecture),
  );
  return none(
    foreign.map((node) => `${nameOf(node)} is ${node.status?.nodeInfo?.architecture}`),
    'warning',
    'Images are made for amd64 and arm64: pods on other nodes stay outside the mesh',
  );
}

function judgeKernels(nodes: readonly Node[]): Outcome {
  const old = nodes.filter(({ status }) => {
    const version = /^(\d+)\.(\d+)/.exec(status?.nodeInfo?.kernelVersion ?? '');
    if (version === null) return false;
    const [major = 0, minor = 0] = version.slice(1).map(Number);
    return major < OLDEST_KERNEL[0] || (major === OLDEST_KERNEL[0] && minor < OLDEST_KERNEL[1]);
  });
  return none(
    old.map((node) => `${nameOf(node)} runs ${node.status?.nodeInfo?.kernelVersion}`),
    'error',
    'Upgrade these nodes: the rules of the agent need a newer nf_tables',
  );
}

function judgeRuntimes(nodes: readonly Node[]): Outcome {
  const without = nodes.filter(({ status }) => {
    const version = /^containerd:\/\/v?(\d+)/.exec(status?.nodeInfo?.containerRuntimeVersion ?? '');
    return version !== null && Number(version[1]) < NRI_CONTAINERD;
  });
  return none(
    without.map((node) => `${nameOf(node)} has ${node.status?.nodeInfo?.containerRuntimeVersion}`),
    'warning',
    'NRI is off by default there: switch it on in containerd, or a new pod may send its first packets before it is captured',
  );
}

/** By the kubelets' heartbeats: one from the future is a clock ahead; one that is too old is a clock behind, or a dead kubelet. */
function judgeClocks({ heartbeats, now }: ClusterFacts): Outcome {
  return known(heartbeats, 'Check that you may list leases in kube-node-lease', (leases) =>
    none(
      leases.flatMap(({ metadata, spec }) => {
        const renewed = Date.parse(spec?.renewTime ?? '');
        if (Number.isNaN(renewed)) return [];
        const ahead = renewed - now;
        if (ahead > MAX_CLOCK_SKEW_MS) {
          return [`${metadata.name} is ${Math.round(ahead / 1000)} s ahead of this machine`];
        }
        const silent = -ahead - HEARTBEAT_MS;
        if (silent <= MAX_CLOCK_SKEW_MS) return [];
        return [`${metadata.name} was last heard of ${Math.round(-ahead / 1000)} s ago`];
      }),
      'warning',
      'Keep the clocks in step (NTP), or see why the kubelet is silent: certificates are checked by the time of each node',
    ),
  );
}

function judgeAdmission({ namespaces }: ClusterFacts): Outcome {
  return known(namespaces, 'Check that you may list namespaces', (all) => {
    const own = all.find(({ metadata }) => metadata.name === 'ambit-system');
    const level = own?.metadata.labels?.['pod-security.kubernetes.io/enforce'];
    if (level === undefined || level === 'privileged') return success;
    return {
      result: 'error',
      message: `Namespace ambit-system enforces the pod security level "${level}", which forbids the agent to enter pods' network namespaces`,
      remedy:
        'kubectl label namespace ambit-system pod-security.kubernetes.io/enforce=privileged --overwrite',
    };
  });
}

const OTHER_MESHES: readonly (readonly [label: string, value: string, mesh: string])[] = [
  ['istio.io/dataplane-mode', 'ambient', 'Istio ambient'],
  ['istio-injection', 'enabled', 'Istio sidecars'],
];

function judgeOtherMeshes({ namespaces }: ClusterFacts): Outcome {
  return known(namespaces, 'Check that you may list namespaces', (all) =>
    none(
      all.flatMap(({ metadata }) => {
        const found = OTHER_MESHES.filter(([label, value]) => metadata.labels?.[label] === value);
        const linkerd =
          metadata.annotations?.['linkerd.io/inject'] === 'enabled' ? ['Linkerd'] : [];
        return [...found.map(([, , mesh]) => mesh), ...linkerd].map(
          (mesh) => `namespace ${metadata.name} is in ${mesh}`,
        );
      }),
      'warning',
      'A pod can be in one mesh only: leave these namespaces without the label ambit-mesh.io/mode until they have left the other',
    ),
  );
}

function nameOf(node: Node): string {
  return node.metadata.name ?? '';
}
