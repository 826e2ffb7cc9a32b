// targetRefs of policies -> where waypoints enforce them, and what is to be said of each target. Pure. Called by the
// translations of AuthorizationPolicy and RequestAuthentication.

import type { PolicyTarget } from '../../mesh/policy-target.ts';
import { INGRESS_CLASS, WAYPOINT_CLASS } from '../../mesh/waypoint.ts';
import type { Limit } from './authorization.ts';
import type { Finding } from './outcome.ts';

export type TargetRef = {
  readonly group?: string;
  readonly kind?: string;
  readonly name?: string;
  readonly namespace?: string;
};

/** What can be a target, as the cluster has it now. */
export type TargetWorld = {
  readonly rootNamespace: string;
  /** Each of its hosts; one for a Service, several for a ServiceEntry; undefined: there is no such object. */
  servicesOf(
    kind: 'Service' | 'ServiceEntry',
    namespace: string,
    name: string,
  ): readonly TargetService[] | undefined;
  /** The class of a Gateway; undefined: it is not there. */
  gatewayClassOf(namespace: string, name: string): string | undefined;
  /** Classes whose Gateways are ours to run. */
  readonly gatewayClasses: readonly string[];
  /** `namespace/name` of every Gateway of a class. */
  gatewaysOf(gatewayClass: string): readonly string[];
};

export type TargetService = {
  /** `namespace/hostname`. */
  readonly key: string;
  /** `namespace/name` of the Gateway its connections go through; undefined: nobody's. */
  readonly waypoint: string | undefined;
};

export type Attachment = {
  readonly targets: readonly PolicyTarget[];
  /** Gateways that enforce it, in words. */
  readonly by: readonly string[];
  readonly limits: readonly Limit[];
};

const GATEWAY_API = 'gateway.networking.k8s.io';
const NETWORKING = 'networking.ambit-mesh.io';

const OWN_CLASSES: readonly string[] = [WAYPOINT_CLASS, INGRESS_CLASS];

export function targetRefsOf(spec: {
  readonly targetRef?: unknown;
  readonly targetRefs?: readonly unknown[];
}): readonly TargetRef[] {
  const refs = spec.targetRefs ?? (spec.targetRef === undefined ? [] : [spec.targetRef]);
  return refs as readonly TargetRef[];
}

/** `namespace` is the policy's own, in which its targets are. */
export function attachmentOf(
  refs: readonly TargetRef[],
  namespace: string,
  world: TargetWorld,
): Attachment {
  const parts = refs.map((ref) => attach(ref, namespace, world));
  return {
    targets: parts.flatMap(({ targets }) => targets),
    by: [...new Set(parts.flatMap(({ by }) => by))].toSorted(),
    limits: parts.flatMap(({ limits }) => limits),
  };
}

function attach(ref: TargetRef, namespace: string, world: TargetWorld): Attachment {
  const { group = '', kind = '', name = '' } = ref;
  if ((ref.namespace ?? '') !== '' && ref.namespace !== namespace) {
    return lost(
      'RefNotPermitted',
      `${kind} ${ref.namespace}/${name} is in another namespace`,
      'Put the policy into the namespace of its target',
    );
  }
  switch (`${group === 'core' ? '' : group}/${kind}`) {
    case '/Service':
      return toServices('Service', namespace, name, world);
    case `${NETWORKING}/ServiceEntry`:
      return toServices('ServiceEntry', namespace, name, world);
    case `${GATEWAY_API}/Gateway`: {
      const gateway = `${namespace}/${name}`;
      const gatewayClass = world.gatewayClassOf(namespace, name);
      if (gatewayClass === undefined)
        return lost(
          'TargetNotFound',
          `There is no Gateway ${gateway}`,
          'Create it, or correct the name',
        );
      if (!world.gatewayClasses.includes(gatewayClass)) {
        return lost(
          'TargetNotOurs',
          `Gateway ${gateway} is of class ${gatewayClass}, which Ambit does not run`,
          `Use one of class ${world.gatewayClasses.join(' or ')}`,
        );
      }
      return { targets: [{ kind: 'gateway', gateway }], by: [gateway], limits: [] };
    }
    case `${GATEWAY_API}/GatewayClass`:
      if (namespace !== world.rootNamespace) {
        return lost(
          'RefNotPermitted',
          `GatewayClass ${name} can only be a target in namespace ${world.rootNamespace}`,
          'Put the policy there',
        );
      }
      if (!world.gatewayClasses.includes(name)) {
        return lost(
          'TargetNotOurs',
          `GatewayClass ${name} is none of Ambit's`,
          `Use ${world.gatewayClasses.join(' or ')}`,
        );
      }
      return {
        targets: OWN_CLASSES.includes(name)
          ? [{ kind: 'gateway-class', name }]
          : // a proxy knows its Gateway and what it runs as, not how people call that
            world.gatewaysOf(name).map((gateway) => ({ kind: 'gateway', gateway })),
        by: [`all of class ${name}`],
        limits: [],
      };
    default:
      return lost(
        'UnsupportedTarget',
        `${group === '' ? '' : `${group}/`}${kind} ${name} is no target`,
        'Use a Service, ServiceEntry, Gateway or GatewayClass',
      );
  }
}

function toServices(
  kind: 'Service' | 'ServiceEntry',
  namespace: string,
  name: string,
  world: TargetWorld,
): Attachment {
  const services = world.servicesOf(kind, namespace, name);
  if (services === undefined) {
    return lost(
      'TargetNotFound',
      `There is no ${kind} ${namespace}/${name}`,
      'Create it, or correct the name',
    );
  }
  const by = services.flatMap(({ waypoint }) => waypoint ?? []);
  const label = `kubectl label ${kind.toLowerCase()} ${name} -n ${namespace} ambit-mesh.io/use-waypoint=WAYPOINT`;
  return {
    targets: services.map(({ key }) => ({ kind: 'service', service: key })),
    by,
    limits:
      by.length === services.length
        ? []
        : [
            {
              reason: 'NoWaypoint',
              message: `${kind} ${namespace}/${name} has no waypoint that could enforce the policy, so connections to it fail`,
              remedy: `Give it one: ${label}`,
            },
          ],
  };
}

function lost(reason: string, message: string, remedy: string): Attachment {
  return { targets: [], by: [], limits: [{ reason, message, remedy }] };
}

/** Why a target does not hold the policy, while the policy itself may be right. */
const NOT_THE_POLICYS = new Set(['NoWaypoint', 'TargetNotFound']);

export function acceptedFinding(limits: readonly Limit[]): Finding {
  const wrong = limits.filter(({ reason }) => !NOT_THE_POLICYS.has(reason));
  const [first] = wrong;
  if (first === undefined) {
    return { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'The policy is valid' };
  }
  return { type: 'Accepted', status: 'False', reason: first.reason, message: sentences(wrong) };
}

/** `verb`: what the waypoints do with it. */
export function enforcedFinding({ by, limits }: Attachment, strict: readonly Limit[]): Finding {
  const type = 'Enforced';
  const why = [...limits, ...strict];
  const [first] = limits;
  if (by.length === 0) {
    return {
      type,
      status: 'False',
      reason: first?.reason ?? 'NoTarget',
      message: first === undefined ? 'The policy has no target' : sentences(limits),
    };
  }
  const message = `Enforced by ${by.length === 1 ? 'waypoint' : 'waypoints'} ${by.join(', ')}`;
  if (why.length === 0) return { type, status: 'True', reason: 'Enforced', message };
  return {
    type,
    status: 'True',
    reason: 'PartiallyEnforced',
    message: `${message}. ${sentences(why)}`,
  };
}

export function sentences(limits: readonly Limit[]): string {
  return limits.map(({ message, remedy }) => `${message}. ${remedy}`).join('; ');
}
