// Every policy object that waypoints enforce, at one moment: what they are told, and what each object's status shall say.
// Pure. Called by world.ts, once a translation; policies of node agents are policies.ts's.

import type { HttpPolicy } from '../../mesh/http-policy.ts';
import type { RequestAuthentication } from '../../mesh/request-authentication.ts';
import { type Service, serviceKey } from '../../mesh/service.ts';
import { CONTROLLER_NAME, INGRESS_CLASS, WAYPOINT_CLASS } from '../../mesh/waypoint.ts';
import type { Gateway, GatewayClass } from '../../runtime/kubernetes/gateway-objects.ts';
import type { ConfigMap } from '../../runtime/kubernetes/objects.ts';
import type { Problem } from '../../wire/status.ts';
import { type AuthorizationPolicyObject, isForWaypoints } from './authorization.ts';
import type { KnownService } from './endpoints.ts';
import type { Entries } from './entries.ts';
import { providerProblems, providersOf } from './extension-providers.ts';
import {
  type HttpPolicyTranslation,
  type HttpPolicyWorld,
  httpAuthorizationOf,
  httpAuthorizationOutcome,
  httpProblemsOf,
  unreadableHttpPolicy,
} from './http-authorization.ts';
import { Memo } from './memo.ts';
import type { Outcome } from './outcome.ts';
import { attachmentOf, type TargetService, targetRefsOf } from './policy-attachment.ts';
import {
  type AuthenticationTranslation,
  authenticationOutcome,
  authenticationProblems,
  type RequestAuthenticationObject,
  requestAuthenticationOf,
  unreadableAuthentication,
  untargetedOutcome,
} from './request-authentication.ts';
import { hostnameOf } from './service.ts';

export type HttpPolicyObjects = {
  readonly authorizationPolicies: Iterable<AuthorizationPolicyObject>;
  readonly requestAuthentications: Iterable<RequestAuthenticationObject>;
  /** Whom CUSTOM policies may name; undefined: nobody. */
  readonly extensionProviders: ConfigMap | undefined;
  readonly gateways: Iterable<Gateway>;
  readonly gatewayClasses: ReadonlyMap<string, GatewayClass>;
};

export type HttpPolicies = {
  readonly policies: readonly HttpPolicy[];
  readonly authentications: readonly RequestAuthentication[];
  readonly problems: readonly Problem[];
  readonly outcomes: readonly Outcome[];
};

export type HttpPolicyContext = {
  readonly services: ReadonlyMap<string, KnownService>;
  readonly entries: Pick<Entries, 'services' | 'servicesOf'>;
  readonly rootNamespace: string;
  readonly clusterDomain: string;
};

/** Rules are long, and their expressions are compiled to see whether they can be: both only when something changed. */
export type HttpPolicyMemo = {
  readonly authorizations: Memo<HttpPolicyTranslation>;
  readonly authentications: Memo<AuthenticationTranslation>;
};

export function createHttpPolicyMemo(): HttpPolicyMemo {
  return { authorizations: new Memo(), authentications: new Memo() };
}

export function httpPoliciesOf(
  objects: HttpPolicyObjects,
  context: HttpPolicyContext,
  memo: HttpPolicyMemo,
): HttpPolicies {
  const own = [...objects.authorizationPolicies].filter(isForWaypoints);
  const tokens = [...objects.requestAuthentications];
  const providers = providersOf(objects.extensionProviders, [
    ...[...context.services.values()].map(({ service }) => service),
    ...context.entries.services,
  ]);
  const problems = providerProblems(objects.extensionProviders, providers);
  if (own.length + tokens.length === 0) {
    return { policies: [], authentications: [], problems, outcomes: [] };
  }
  const world: HttpPolicyWorld = { ...targetsOf(objects, context), providers };
  const authorizations = own.map((object) =>
    memo.authorizations.of(object, keyOf(object, world), () => authorization(object, world)),
  );
  const authentications = tokens
    .filter(isForWaypoints)
    .map((one) =>
      memo.authentications.of(one, keyOf(one, world), () => authentication(one, world)),
    );
  return {
    policies: authorizations.map(({ policy }) => policy).filter(holdsSomewhere),
    authentications: authentications.map(({ policy }) => policy).filter(holdsSomewhere),
    problems: [
      ...problems,
      ...authorizations.flatMap(httpProblemsOf),
      ...authentications.flatMap(authenticationProblems),
    ],
    outcomes: [
      ...authorizations.map(httpAuthorizationOutcome),
      ...authentications.map(authenticationOutcome),
      ...tokens.filter((one) => !isForWaypoints(one)).map(untargetedOutcome),
    ],
  };
}

/** All of the cluster that a translation can depend on besides the object itself, as text. */
function keyOf(
  { metadata, spec = {} }: AuthorizationPolicyObject | RequestAuthenticationObject,
  world: HttpPolicyWorld,
): string {
  try {
    const named = 'provider' in spec ? spec.provider?.name : undefined;
    const provider = world.providers.get(named ?? '');
    const attachment = attachmentOf(targetRefsOf(spec), metadata.namespace ?? '', world);
    return JSON.stringify([attachment, provider]);
  } catch {
    // it has another shape than the schema wants: the translation says so
    return '';
  }
}

function holdsSomewhere({ targets }: HttpPolicy | RequestAuthentication): boolean {
  return targets.length > 0;
}

/** A schema keeps bad shapes out of the cluster; one that slipped through must not stop everybody else's updates. */
function authorization(
  object: AuthorizationPolicyObject,
  world: HttpPolicyWorld,
): HttpPolicyTranslation {
  try {
    return httpAuthorizationOf(object, world);
  } catch (error) {
    return unreadableHttpPolicy(object, error instanceof Error ? error.message : String(error));
  }
}

function authentication(
  object: RequestAuthenticationObject,
  world: HttpPolicyWorld,
): AuthenticationTranslation {
  try {
    return requestAuthenticationOf(object, world);
  } catch (error) {
    return unreadableAuthentication(object, error instanceof Error ? error.message : String(error));
  }
}

function targetsOf(
  { gateways, gatewayClasses }: Pick<HttpPolicyObjects, 'gateways' | 'gatewayClasses'>,
  { services, entries, rootNamespace, clusterDomain }: HttpPolicyContext,
): Omit<HttpPolicyWorld, 'providers'> {
  const classes = new Map<string, string>();
  /** By `namespace/hostname`, as services name their waypoints. */
  const waypoints = new Map<string, string>();
  for (const { metadata, spec } of gateways) {
    const { name = '', namespace = '' } = metadata;
    const key = `${namespace}/${name}`;
    classes.set(key, spec.gatewayClassName);
    if (spec.gatewayClassName !== WAYPOINT_CLASS) continue;
    waypoints.set(`${namespace}/${hostnameOf(name, namespace, clusterDomain)}`, key);
  }
  const targetOf = (service: Service): TargetService => {
    const { waypoint } = service;
    const at = waypoint?.by === 'hostname' ? `${waypoint.namespace}/${waypoint.hostname}` : '';
    return { key: serviceKey(service), waypoint: waypoints.get(at) };
  };
  return {
    rootNamespace,
    gatewayClasses: [
      ...new Set([
        WAYPOINT_CLASS,
        INGRESS_CLASS,
        ...[...gatewayClasses]
          .filter(([, { spec }]) => spec.controllerName === CONTROLLER_NAME)
          .map(([name]) => name),
      ]),
    ],
    gatewaysOf: (name) => [...classes].flatMap(([key, its]) => (its === name ? key : [])),
    gatewayClassOf: (namespace, name) => classes.get(`${namespace}/${name}`),
    servicesOf(kind, namespace, name) {
      if (kind === 'ServiceEntry') return entries.servicesOf(namespace, name)?.map(targetOf);
      const known = services.get(`${namespace}/${name}`);
      return known === undefined ? undefined : [targetOf(known.service)];
    },
  };
}
