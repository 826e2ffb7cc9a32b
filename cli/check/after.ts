// Is the installed mesh well? The checks of `ambit check`, over the same findings as `ambit status` and over what the
// cluster forbids or lets pass around the mesh.

import type { NetworkPolicy, Pod } from '../../runtime/kubernetes/objects.ts';
import type { Problem } from '../../wire/status.ts';
import type { StatusReport } from '../status/report.ts';
import { type Check, known, none, type Outcome, success } from './check.ts';
import type { ClusterFacts } from './facts.ts';

export type MeshFacts = { readonly cluster: ClusterFacts; readonly report: StatusReport };

const TUNNEL_PORT = 15008;
const DEFINITIONS = [
  'serviceentries.networking.ambit-mesh.io',
  'workloadentries.networking.ambit-mesh.io',
  'authorizationpolicies.security.ambit-mesh.io',
  'peerauthentications.security.ambit-mesh.io',
  'requestauthentications.security.ambit-mesh.io',
];

export const MESH_CHECKS: readonly Check<MeshFacts>[] = [
  {
    category: 'ambit-existence',
    description: 'namespace ambit-system exists',
    fatal: true,
    judge: ({ cluster }) =>
      known(cluster.namespaces, 'Check that you may list namespaces', (all) =>
        all.some(({ metadata }) => metadata.name === 'ambit-system')
          ? success
          : {
              result: 'error',
              message: 'There is no namespace ambit-system: the mesh is not installed',
              remedy: 'See whether the cluster is fit for it: ambit check --pre',
            },
      ),
  },
  {
    category: 'ambit-existence',
    description: 'custom resource definitions are installed',
    judge: ({ cluster }) =>
      known(cluster.definitions, 'Check that you may list customresourcedefinitions', (all) => {
        const names = new Set(all.map(({ metadata }) => metadata.name));
        return none(
          DEFINITIONS.filter((name) => !names.has(name)).map((name) => `${name} is missing`),
          'error',
          'Apply the manifests of the mesh again: without its definitions policies cannot be written',
        );
      }),
  },
  {
    category: 'ambit-control-plane',
    description: 'control plane is ready',
    judge: ({ report }) => problemsOf(report, (it) => it.object.includes('/ambit-control-plane')),
  },
  {
    category: 'ambit-control-plane',
    description: 'control plane and cli have the same version',
    judge: ({ report: { controlPlaneVersion, cliVersion } }) =>
      controlPlaneVersion === undefined || controlPlaneVersion === cliVersion
        ? success
        : {
            result: 'warning',
            message: `The control plane is ${controlPlaneVersion}, this cli ${cliVersion}`,
            remedy: 'Use the cli of the same version: what it shows may else lack fields',
          },
  },
  {
    category: 'ambit-identity',
    description: 'certificate authority is ready',
    judge: ({ report }) =>
      problemsOf(report, (it) => it.object === 'Deployment ambit-system/ambit-ca'),
  },
  {
    category: 'ambit-identity',
    description: 'certificates are valid for long enough',
    judge: ({ report }) => problemsOf(report, aboutCertificates),
  },
  {
    category: 'ambit-data-plane',
    description: 'every node has an agent that is ready, connected and in sync',
    judge: ({ report }) =>
      problemsOf(report, ({ reason }) => reason === 'NoAgent' || reason.startsWith('Agent')),
  },
  {
    category: 'ambit-data-plane',
    description: 'agents have the version of the control plane',
    judge: ({ report: { agents, controlPlaneVersion } }) =>
      none(
        agents
          .filter(({ version }) => version !== '' && version !== controlPlaneVersion)
          .map(({ node, version }) => `the agent on ${node} is ${version}`),
        controlPlaneVersion === undefined ? 'error' : 'warning',
        'Finish the upgrade: kubectl -n ambit-system rollout status daemonset/ambit-node-agent',
      ),
  },
  {
    category: 'ambit-data-plane',
    description: 'pods of enrolled namespaces are in the mesh',
    judge: ({ report }) =>
      none(
        report.workloads
          .filter(({ redirection }) => redirection === 'failed' || redirection === 'wanted')
          .map(({ namespace, name, redirection }) => `pod ${namespace}/${name}: ${redirection}`),
        'error',
        'See the reason: kubectl describe pod, annotation ambit-mesh.io/redirection-message',
      ),
  },
  {
    category: 'ambit-data-plane',
    description: `network policies let port ${TUNNEL_PORT} through`,
    judge: judgeNetworkPolicies,
  },
  {
    category: 'ambit-configuration',
    description: 'no other problem is known to the mesh',
    judge: ({ report }) =>
      problemsOf(
        report,
        (it) =>
          !it.object.startsWith('Deployment ambit-system/') &&
          !aboutCertificates(it) &&
          it.reason !== 'NoAgent' &&
          !it.reason.startsWith('Agent'),
      ),
  },
];

function aboutCertificates({ reason }: Problem): boolean {
  return /^(Root|Intermediate|Signer|Certificate|Trust)/.test(reason);
}

function problemsOf({ problems }: StatusReport, concerns: (problem: Problem) => boolean): Outcome {
  const found = problems.filter(concerns);
  const [first] = found;
  return none(
    found.map(({ object, message }) => `${object}: ${message}`),
    'error',
    first?.remedy ?? '',
  );
}

/** A policy that allows some ports to an enrolled pod but not the tunnel's cuts the pod off from its meshed callers. */
function judgeNetworkPolicies({ cluster, report }: MeshFacts): Outcome {
  const enrolled = new Set(
    report.namespaces.filter(({ mode }) => mode === 'ambient').map(({ name }) => name),
  );
  return known(cluster.networkPolicies, 'Check that you may list networkpolicies', (policies) =>
    known(cluster.pods, 'Check that you may list pods', (pods) =>
      none(
        policies
          .filter(({ metadata }) => enrolled.has(metadata.namespace ?? ''))
          .filter((policy) => pods.some((pod) => selects(policy, pod)) && !letsTunnelIn(policy))
          .map(({ metadata }) => `NetworkPolicy ${metadata.namespace}/${metadata.name}`),
        'warning',
        `Between meshed pods every connection arrives at port ${TUNNEL_PORT}: let it in where you let the application's port in, and say who may talk with an AuthorizationPolicy`,
      ),
    ),
  );
}

function selects({ metadata, spec }: NetworkPolicy, pod: Pod): boolean {
  if (metadata.namespace !== pod.metadata.namespace) return false;
  // expressions are left to the network plugin: a policy that may select the pod is worth a look
  return Object.entries(spec?.podSelector?.matchLabels ?? {}).every(
    ([key, value]) => pod.metadata.labels?.[key] === value,
  );
}

function letsTunnelIn({ spec }: NetworkPolicy): boolean {
  const types = spec?.policyTypes ?? ['Ingress'];
  const rules = spec?.ingress ?? [];
  // no rule at all isolates the pod on purpose
  if (!types.includes('Ingress') || rules.length === 0) return true;
  return rules.some(({ ports }) =>
    (ports ?? []).length === 0 ? true : ports?.some(includesTunnelPort),
  );
}

function includesTunnelPort(allowed: {
  readonly port?: number | string;
  readonly endPort?: number;
  readonly protocol?: string;
}): boolean {
  if ((allowed.protocol ?? 'TCP') !== 'TCP') return false;
  // a port by name is of the application's container: the tunnel's has none
  if (typeof allowed.port === 'string') return false;
  if (allowed.port === undefined) return true;
  return allowed.port <= TUNNEL_PORT && TUNNEL_PORT <= (allowed.endPort ?? allowed.port);
}
