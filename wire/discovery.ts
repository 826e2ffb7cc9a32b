// Discovery between the control plane and its proxies: Envoy's delta messages in frames of ours, one frame a WebSocket
// message, and the enrolment messages. Called by the two ends. Pure: what a frame means is decided by its receiver.

import { ipFromBytes, ipToBytes } from '../mesh/address.ts';
import type { Enrolment, EnrolmentReport } from '../mesh/enrolment.ts';
import type { MeshNamespace, Mode } from '../mesh/namespace.ts';
import type { TrustReport } from '../mesh/trust.ts';
import { type CaptureMessage, readCapture, writeCapture } from './capture-options.ts';
import { DELTA_PROTO } from './proto/delta.ts';
import { DecodeError, loadProto, messageType } from './protobuf.ts';
import { decodeTrustReport, encodeTrustReport } from './trust-resource.ts';

export const TYPE_ADDRESS = 'type.googleapis.com/istio.workload.Address';
export const TYPE_AUTHORIZATION = 'type.googleapis.com/istio.security.Authorization';
export const TYPE_ENROLMENT = 'type.googleapis.com/ambit.enrolment.Pod';
export const TYPE_NAMESPACE = 'type.googleapis.com/ambit.enrolment.Namespace';

/** A resource as it travels: the receiver remembers `version` by `name`, and gives both back when it reconnects. */
export type Resource = {
  readonly name: string;
  readonly version: string;
  readonly aliases: readonly string[];
  readonly typeUrl: string;
  readonly body: Uint8Array;
};

export type DeltaRequest = {
  /** Only in the first request of a stream. */
  readonly node: { readonly id: string; readonly cluster: string } | undefined;
  readonly typeUrl: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  readonly initialVersions: ReadonlyMap<string, string>;
  /** The response this answers; empty when it answers none. */
  readonly nonce: string;
  /** Present in a NACK. */
  readonly error: { readonly code: number; readonly message: string } | undefined;
};

export type DeltaResponse = {
  readonly systemVersion: string;
  readonly typeUrl: string;
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
  readonly nonce: string;
};

export type ClientFrame =
  | { readonly kind: 'discovery'; readonly request: DeltaRequest }
  | { readonly kind: 'report'; readonly report: EnrolmentReport }
  | { readonly kind: 'trust-report'; readonly report: TrustReport };

export type ServerFrame = { readonly kind: 'discovery'; readonly response: DeltaResponse };

type RequestMessage = {
  node: { id: string; cluster: string } | null;
  typeUrl: string;
  resourceNamesSubscribe: string[];
  resourceNamesUnsubscribe: string[];
  initialResourceVersions: Record<string, string>;
  responseNonce: string;
  errorDetail: { code: number; message: string } | null;
};
type ResponseMessage = {
  systemVersionInfo: string;
  resources: {
    version: string;
    resource: { typeUrl: string; value: Uint8Array } | null;
    name: string;
    aliases: string[];
  }[];
  typeUrl: string;
  nonce: string;
  removedResources: string[];
};
type ReportMessage = {
  podUid: string;
  name: string;
  namespace: string;
  state: string | number;
  reason: string;
  message: string;
};
type EnrolmentMessage = {
  podUid: string;
  workloadUid: string;
  name: string;
  namespace: string;
  trustDomain: string;
  serviceAccount: string;
  addresses: Uint8Array[];
  capture: CaptureMessage | null;
  dns: { servers: Uint8Array[]; instead: boolean; search: string[] } | null;
};

const root = loadProto(DELTA_PROTO);
const CLIENT_FRAME = messageType<{
  discovery?: RequestMessage | null;
  enrolmentReport?: ReportMessage | null;
  trustReport?: Uint8Array | null;
  /** Which of them is there. */
  frame?: 'discovery' | 'enrolmentReport' | 'trustReport';
}>(root, 'ambit.discovery.ClientFrame');
const SERVER_FRAME = messageType<{ discovery?: ResponseMessage | null }>(
  root,
  'ambit.discovery.ServerFrame',
);
const ENROLMENT = messageType<EnrolmentMessage>(root, 'ambit.discovery.PodEnrolment');
const NAMESPACE = messageType<{ name: string; mode: string | number }>(
  root,
  'ambit.discovery.Namespace',
);
const MODES: readonly Mode[] = ['unset', 'ambient', 'none'];

export function encodeClientFrame(frame: ClientFrame): Uint8Array {
  if (frame.kind === 'report')
    return CLIENT_FRAME.encode({ enrolmentReport: writeReport(frame.report) });
  if (frame.kind === 'trust-report')
    return CLIENT_FRAME.encode({ trustReport: encodeTrustReport(frame.report) });
  const { request } = frame;
  return CLIENT_FRAME.encode({
    discovery: {
      node: request.node ?? null,
      typeUrl: request.typeUrl,
      resourceNamesSubscribe: [...request.subscribe],
      resourceNamesUnsubscribe: [...request.unsubscribe],
      initialResourceVersions: Object.fromEntries(request.initialVersions),
      responseNonce: request.nonce,
      errorDetail: request.error ?? null,
    },
  });
}

/** @throws DecodeError */
export function decodeClientFrame(bytes: Uint8Array): ClientFrame {
  const { discovery, enrolmentReport, trustReport, frame } = CLIENT_FRAME.decode(bytes);
  if (frame === 'trustReport' && trustReport) {
    return { kind: 'trust-report', report: decodeTrustReport(trustReport) };
  }
  if (enrolmentReport) return { kind: 'report', report: readReport(enrolmentReport) };
  if (!discovery) throw new DecodeError('Cannot read a frame: it holds nothing this version knows');
  return {
    kind: 'discovery',
    request: {
      node: discovery.node ?? undefined,
      typeUrl: discovery.typeUrl,
      subscribe: discovery.resourceNamesSubscribe,
      unsubscribe: discovery.resourceNamesUnsubscribe,
      initialVersions: new Map(Object.entries(discovery.initialResourceVersions)),
      nonce: discovery.responseNonce,
      error: discovery.errorDetail ?? undefined,
    },
  };
}

export function encodeServerFrame(frame: ServerFrame): Uint8Array {
  const { response } = frame;
  return SERVER_FRAME.encode({
    discovery: {
      systemVersionInfo: response.systemVersion,
      typeUrl: response.typeUrl,
      resources: response.resources.map(({ name, version, aliases, typeUrl, body }) => ({
        name,
        version,
        aliases: [...aliases],
        resource: { typeUrl, value: body },
      })),
      removedResources: [...response.removed],
      nonce: response.nonce,
    },
  });
}

/** @throws DecodeError */
export function decodeServerFrame(bytes: Uint8Array): ServerFrame {
  const { discovery } = SERVER_FRAME.decode(bytes);
  if (!discovery) throw new DecodeError('Cannot read a frame: it holds nothing this version knows');
  return {
    kind: 'discovery',
    response: {
      systemVersion: discovery.systemVersionInfo,
      typeUrl: discovery.typeUrl,
      resources: discovery.resources.map(({ name, version, aliases, resource }) => ({
        name,
        version,
        aliases,
        typeUrl: resource?.typeUrl ?? '',
        body: resource?.value ?? new Uint8Array(),
      })),
      removed: discovery.removedResources,
      nonce: discovery.nonce,
    },
  };
}

export function encodeEnrolment(enrolment: Enrolment): Uint8Array {
  const { podUid, workloadUid, name, namespace, identity, addresses, capture, dns } = enrolment;
  return ENROLMENT.encode({
    podUid,
    workloadUid,
    name,
    namespace,
    trustDomain: identity.trustDomain,
    serviceAccount: identity.serviceAccount,
    addresses: addresses.map(ipToBytes),
    capture: writeCapture(capture),
    dns:
      dns === undefined
        ? null
        : {
            servers: dns.servers.map(ipToBytes),
            instead: dns.order === 'instead',
            search: [...dns.search],
          },
  });
}

/** @throws DecodeError */
export function decodeEnrolment(body: Uint8Array): Enrolment {
  const message = ENROLMENT.decode(body);
  const { podUid, workloadUid, name, namespace, trustDomain, serviceAccount } = message;
  const what = `enrolment of pod "${namespace}/${name}"`;
  if (podUid === '' || trustDomain === '' || serviceAccount === '') {
    throw new DecodeError(`Cannot read ${what}: pod uid or identity is missing`);
  }
  try {
    const addresses = message.addresses.map(ipFromBytes);
    const capture = readCapture(message.capture);
    return {
      podUid,
      workloadUid,
      name,
      namespace,
      identity: { trustDomain, namespace, serviceAccount },
      addresses,
      capture,
      ...(message.dns === null ? {} : { dns: readPodDns(message.dns) }),
    };
  } catch (cause) {
    throw new DecodeError(`Cannot read ${what}: ${(cause as Error).message}`, { cause });
  }
}

function readPodDns({
  servers,
  instead,
  search,
}: NonNullable<EnrolmentMessage['dns']>): NonNullable<Enrolment['dns']> {
  return {
    servers: servers.map(ipFromBytes),
    order: instead ? 'instead' : 'after',
    search,
  };
}

export function encodeNamespace({ name, mode }: MeshNamespace): Uint8Array {
  return NAMESPACE.encode({ name, mode: mode.toUpperCase() });
}

/** @throws DecodeError */
export function decodeNamespace(body: Uint8Array): MeshNamespace {
  const { name, mode: said } = NAMESPACE.decode(body);
  const mode = MODES.find((one) => one.toUpperCase() === said);
  // taking a mode of a newer version for 'unset' would let its pods start outside the mesh
  if (mode === undefined) {
    throw new DecodeError(`Cannot read namespace "${name}": mode ${said} is not known here`);
  }
  if (name === '') throw new DecodeError('Cannot read a namespace: its name is missing');
  return { name, mode };
}

function writeReport(report: EnrolmentReport): ReportMessage {
  const { podUid, name, namespace, state } = report;
  const why =
    report.state === 'failed'
      ? { reason: report.reason, message: report.message }
      : { reason: '', message: '' };
  return { podUid, name, namespace, state: state.toUpperCase(), ...why };
}

function readReport(message: ReportMessage): EnrolmentReport {
  const { podUid, name, namespace, reason } = message;
  const pod = { podUid, name, namespace };
  switch (message.state) {
    case 'ENABLED':
      return { ...pod, state: 'enabled' };
    case 'REMOVED':
      return { ...pod, state: 'removed' };
    case 'FAILED':
      return { ...pod, state: 'failed', reason, message: message.message };
    default:
      throw new DecodeError(
        `Cannot read the report on pod "${namespace}/${name}": state ${message.state} is not known here`,
      );
  }
}
