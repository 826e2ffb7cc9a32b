// What the status of a Gateway or GatewayClass of ours shall say. Pure. Called by plan.ts; written by status/conditions.ts.

import type {
  Gateway,
  GatewayAddressStatus,
  GatewayClass,
} from '../../runtime/kubernetes/gateway-objects.ts';
import type { Deployment, Service } from '../../runtime/kubernetes/objects.ts';
import { GATEWAY_CLASSES, GATEWAYS } from '../../runtime/kubernetes/resources.ts';
import type { Finding, Outcome } from '../translate/outcome.ts';
import { type ListenerVerdict, listenerFindings } from './listeners.ts';
import { supportedFeatures } from './supported-features.ts';

/** Of the objects made for a Gateway, as they are now. */
export type Running = {
  readonly deployment: Deployment | undefined;
  readonly service: Service | undefined;
};

type Fault = { readonly reason: string; readonly message: string };

export type GatewayVerdict = {
  /** Why it is not acted upon at all: its parameters, its name. */
  readonly fault: Fault | undefined;
  readonly listeners: readonly ListenerVerdict[];
  /** Why an object it needs could not be made. */
  readonly failure: string | undefined;
  readonly running: Running;
};

// More do not fit into the status.
const MAX_ADDRESSES = 16;

/** @param attached routes attached to each of its listeners, by the listener's name */
export function gatewayOutcome(
  gateway: Gateway,
  verdict: GatewayVerdict,
  attached: (listener: string) => number,
): Outcome {
  const { listeners, running } = verdict;
  const accepted = acceptance(verdict);
  const addresses = addressesOf(running.service);
  const programmed = programming(verdict, accepted, addresses);
  const waiting = programmed.status === 'True' ? undefined : programmed.message;
  return {
    resource: GATEWAYS,
    object: gateway,
    findings: [accepted, programmed],
    fields: { addresses },
    parts: {
      listeners: listeners.map((one) => ({
        name: one.listener.name,
        fields: {
          attachedRoutes: attached(one.listener.name),
          supportedKinds: one.supportedKinds,
        },
        findings: listenerFindings(one, waiting),
      })),
    },
  };
}

export function classOutcome(object: GatewayClass): Outcome {
  return {
    resource: GATEWAY_CLASSES,
    object,
    fields: { supportedFeatures: supportedFeatures(object.metadata.name ?? '') },
    findings: [
      {
        type: 'Accepted',
        status: 'True',
        reason: 'Accepted',
        message: 'Its Gateways are looked after',
      },
      {
        type: 'SupportedVersion',
        status: 'True',
        reason: 'SupportedVersion',
        message: 'The definitions of the Gateway API that are installed can be read',
      },
    ],
  };
}

export function addressesOf(service: Service | undefined): GatewayAddressStatus[] {
  if (service === undefined) return [];
  const { type, clusterIP = '', clusterIPs = [clusterIP] } = service.spec;
  const found =
    type === 'LoadBalancer'
      ? (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => {
          if (ip !== undefined) return [{ type: 'IPAddress', value: ip }];
          return hostname === undefined ? [] : [{ type: 'Hostname', value: hostname }];
        })
      : clusterIPs
          .filter((ip) => ip !== '' && ip !== 'None')
          .map((value) => ({ type: 'IPAddress', value }));
  return found.slice(0, MAX_ADDRESSES);
}

function acceptance({ fault, listeners }: GatewayVerdict): Finding {
  if (fault !== undefined) return { type: 'Accepted', status: 'False', ...fault };
  const bad = listeners.filter(({ refused, conflict }) => (refused ?? conflict) !== undefined);
  const [first] = bad;
  if (first === undefined) {
    return { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'All of it is valid' };
  }
  const why = (first.refused ?? first.conflict)?.message ?? '';
  return {
    type: 'Accepted',
    // with one that is left there is something to run
    status: bad.length < listeners.length ? 'True' : 'False',
    reason: 'ListenersNotValid',
    message: `Listener ${first.listener.name}: ${why}`,
  };
}

function programming(
  { failure, running }: GatewayVerdict,
  accepted: Finding,
  addresses: readonly GatewayAddressStatus[],
): Finding {
  const not = (reason: string, message: string): Finding => ({
    type: 'Programmed',
    status: 'False',
    reason,
    message,
  });
  if (accepted.status !== 'True') return not('Invalid', accepted.message);
  if (failure !== undefined) return not('Invalid', failure);
  const { deployment, service } = running;
  if (deployment === undefined || service === undefined) {
    return not('Pending', 'Its proxy is being made');
  }
  if ((deployment.status?.readyReplicas ?? 0) === 0) {
    const stuck = stuckIn(deployment);
    return stuck === undefined
      ? not('Pending', 'Its proxy starts: no replica is ready yet')
      : not('NoResources', `No replica is ready: ${stuck}`);
  }
  if (addresses.length === 0) {
    const message =
      service.spec.type === 'LoadBalancer'
        ? `Service ${service.metadata.name} waits for an address of a load balancer`
        : `Service ${service.metadata.name} has no address`;
    return not('AddressNotAssigned', message);
  }
  return { type: 'Programmed', status: 'True', reason: 'Programmed', message: 'Its proxy serves' };
}

/** Why a Deployment makes no progress, in its own words. */
function stuckIn({ status }: Deployment): string | undefined {
  const failed = (status?.conditions ?? []).find(
    ({ type, status: state }) =>
      (type === 'ReplicaFailure' && state === 'True') ||
      (type === 'Progressing' && state === 'False'),
  );
  return failed?.message ?? failed?.reason;
}
