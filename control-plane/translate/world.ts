// The whole translation: what Kubernetes holds at one moment -> what the mesh shall know. Pure, and always from the
// whole: there is no incremental state that could drift from the cluster.

import type { Enrolment } from '../../mesh/enrolment.ts';
import type { MeshNamespace } from '../../mesh/namespace.ts';
import type { AuthorizationPolicy } from '../../mesh/policy.ts';
import { policyKey } from '../../mesh/policy.ts';
import type { Service } from '../../mesh/service.ts';
import type { Workload } from '../../mesh/workload.ts';
import type {
  EndpointSlice,
  Service as KubeService,
  Namespace,
  Node,
  Pod,
} from '../../runtime/kubernetes/objects.ts';
import type { Problem } from '../../wire/status.ts';
import {
  type AuthorizationPolicyObject,
  authorizationOf,
  type PolicyTranslation,
} from './authorization.ts';
import { endpointsOf, type KnownService } from './endpoints.ts';
import { enrolmentOf } from './enrolment.ts';
import { Memo } from './memo.ts';
import { isAlive, modeOf, modeProblem, REDIRECTION, REDIRECTION_MESSAGE } from './mode.ts';
import { type PeerAuthenticationObject, peerAuthenticationsOf } from './peer-authentication.ts';
import { selects, type WorkloadSelector } from './selector.ts';
import { serviceOf } from './service.ts';
import { localityOf, type WorkloadContext, workloadOf } from './workload.ts';

export type World = {
  readonly namespaces: ReadonlyMap<string, Namespace>;
  readonly nodes: ReadonlyMap<string, Node>;
  readonly pods: Iterable<Pod>;
  readonly services: Iterable<KubeService>;
  readonly endpointSlices: Iterable<EndpointSlice>;
  readonly authorizationPolicies: Iterable<AuthorizationPolicyObject>;
  readonly peerAuthentications: Iterable<PeerAuthenticationObject>;
};

export type WorldSettings = {
  readonly cluster: string;
  readonly network: string;
  readonly trustDomain: string;
  readonly clusterDomain: string;
  /** Policies here without a selector hold for the whole mesh. */
  readonly rootNamespace: string;
};

export type PlacedEnrolment = { readonly node: string; readonly enrolment: Enrolment };

export type Translation = {
  readonly workloads: readonly Workload[];
  readonly services: readonly Service[];
  readonly policies: readonly AuthorizationPolicy[];
  readonly namespaces: readonly MeshNamespace[];
  readonly enrolments: readonly PlacedEnrolment[];
  readonly problems: readonly Problem[];
};

type PodTranslation = {
  readonly workload: Workload | undefined;
  readonly enrolment: Enrolment | undefined;
};

/** What a translation may take over from the one before; a new one starts from nothing and gives the same result. */
export type TranslationMemo = {
  readonly pods: Memo<PodTranslation>;
  readonly services: Memo<Service | undefined>;
  readonly namespaces: Memo<MeshNamespace>;
};

export function createTranslationMemo(): TranslationMemo {
  return { pods: new Memo(), services: new Memo(), namespaces: new Memo() };
}

export function translate(
  world: World,
  settings: WorldSettings,
  memo: TranslationMemo = createTranslationMemo(),
): Translation {
  const problems: Problem[] = [];
  const namespaces: MeshNamespace[] = [];
  for (const [name, namespace] of world.namespaces) {
    namespaces.push(memo.namespaces.of(namespace, '', () => ({ name, mode: modeOf(namespace) })));
    const problem = modeProblem('Namespace', namespace);
    if (problem !== undefined) problems.push(problem);
  }

  const services = new Map<string, KnownService>();
  for (const object of world.services) {
    const service = memo.services.of(object, '', () => serviceOf(object, settings));
    if (service !== undefined) {
      services.set(`${service.namespace}/${service.name}`, { object, service });
    }
  }
  const endpoints = endpointsOf(world.endpointSlices, services, settings);
  const policies = translatePolicies(world, settings, problems);

  const workloads: Workload[] = [...endpoints.others];
  const enrolments: PlacedEnrolment[] = [];
  for (const pod of world.pods) {
    const { name, namespace = '' } = pod.metadata;
    const context = {
      ...settings,
      namespace: world.namespaces.get(namespace),
      node: world.nodes.get(pod.spec.nodeName ?? ''),
      services: endpoints.pods.get(`${namespace}/${name}`) ?? NO_SERVICES,
      authorizationPolicies: policies.attachedTo(pod),
    };
    const { workload, enrolment } = memo.pods.of(pod, keyOf(context), () => ({
      workload: workloadOf(pod, context),
      enrolment: enrolmentOf(pod, context.namespace, settings),
    }));
    if (workload !== undefined) workloads.push(workload);
    if (enrolment !== undefined) enrolments.push({ node: pod.spec.nodeName ?? '', enrolment });
    if (workload ?? enrolment) problems.push(...podProblems(pod));
  }
  return {
    workloads,
    services: [...services.values()].map(({ service }) => service),
    policies: policies.policies,
    namespaces,
    enrolments,
    problems,
  };
}

const NO_SERVICES: WorkloadContext['services'] = new Map();

/** All of a context that can differ from one translation to the next, as text. */
function keyOf(context: WorkloadContext): string {
  const { region, zone, subzone } = localityOf(context.node);
  const services: string[] = [];
  for (const [key, ports] of context.services) {
    services.push(key);
    for (const { servicePort, targetPort, appProtocol } of ports) {
      services.push(`${servicePort}:${targetPort}:${appProtocol}`);
    }
  }
  const place = `${modeOf(context.namespace)} ${region}/${zone}/${subzone}`;
  return `${place} ${services.join(' ')} ${context.authorizationPolicies.join(' ')}`;
}

function translatePolicies(
  world: World,
  settings: WorldSettings,
  problems: Problem[],
): {
  policies: readonly AuthorizationPolicy[];
  attachedTo(pod: Pod): readonly string[];
} {
  const policies: AuthorizationPolicy[] = [];
  const selective: { policy: AuthorizationPolicy; selector: WorkloadSelector }[] = [];
  for (const object of world.authorizationPolicies) {
    const translated = readPolicy(object, settings);
    problems.push(...translated.problems);
    if (translated.policy === undefined) continue;
    policies.push(translated.policy);
    if (translated.policy.scope === 'workload') {
      selective.push({ policy: translated.policy, selector: object.spec?.selector ?? {} });
    }
  }
  const peer = peerAuthenticationsOf(world.peerAuthentications, settings);
  return {
    policies: [...policies, ...peer.policies],
    attachedTo(pod) {
      const { namespace } = pod.metadata;
      const names = selective
        .filter(({ policy, selector }) => {
          // in the root namespace a selector reaches into every namespace
          const reaches =
            policy.namespace === namespace || policy.namespace === settings.rootNamespace;
          return reaches && selects(selector, pod);
        })
        .map(({ policy }) => policyKey(policy));
      const strict = peer.policyFor(pod);
      return (strict === undefined ? names : [...names, strict]).toSorted();
    },
  };
}

/** A schema keeps bad shapes out of the cluster; one that slipped through must not stop everybody else's updates. */
function readPolicy(object: AuthorizationPolicyObject, settings: WorldSettings): PolicyTranslation {
  try {
    return authorizationOf(object, settings);
  } catch (error) {
    const { name, namespace } = object.metadata;
    const why = error instanceof Error ? error.message : String(error);
    const problem: Problem = {
      object: `AuthorizationPolicy ${namespace}/${name}`,
      reason: 'Unreadable',
      message: `The policy cannot be read and has no effect: ${why}`,
      remedy: `Mend it: kubectl edit authorizationpolicies ${name} -n ${namespace}`,
    };
    return { policy: undefined, problems: [problem] };
  }
}

function podProblems(pod: Pod): Problem[] {
  const problem = modeProblem('Pod', pod);
  const problems = problem === undefined ? [] : [problem];
  const annotations = pod.metadata.annotations ?? {};
  if (annotations[REDIRECTION] === 'failed' && isAlive(pod)) {
    const { name, namespace } = pod.metadata;
    problems.push({
      object: `Pod ${namespace}/${name}`,
      reason: 'EnrolmentFailed',
      message: annotations[REDIRECTION_MESSAGE] ?? 'Its node agent could not enrol it',
      remedy: `kubectl describe pod ${name} -n ${namespace}; the agent on node ${pod.spec.nodeName} tries again by itself`,
    });
  }
  return problems;
}
