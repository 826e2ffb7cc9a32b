// What is known of a request: serve.ts and forward.ts add to it as they learn. The seam between request-trail.ts and those
// who tell of requests: request-metrics.ts, access-log.ts, request-spans.ts.

import type { IpPort } from '../../mesh/address.ts';
import type { HttpFailure, ResponseFlag } from '../../mesh/http-failures.ts';
import type { Identity } from '../../mesh/identity.ts';
import type { Service } from '../../mesh/service.ts';
import type { DescribedWorkload } from '../../mesh/workload.ts';

/** `grpc` is what comes over h2 with a content-type of gRPC. */
export type RequestProtocol = 'http/1.1' | 'h2' | 'grpc';

export type RequestFacts = {
  readonly method: string;
  readonly authority: string;
  /** As it came, with its query: what people look for. */
  readonly path: string;
  readonly protocol: RequestProtocol;
  readonly requestId: string | undefined;
  readonly userAgent: string | undefined;
  readonly forwardedFor: string | undefined;
  /** One object a connection: metrics remember its text by the object. */
  readonly sourceIdentity: Identity | undefined;
  readonly sourceWorkload: DescribedWorkload | undefined;
  readonly source: IpPort;
  /** Where the client believes it is connected: the CONNECT's authority. */
  readonly local: IpPort | undefined;
  readonly service: Service | undefined;
  /** Where the last try went. */
  readonly destinationWorkload: DescribedWorkload | undefined;
  readonly destinationIdentity: Identity | undefined;
  readonly destination: IpPort | undefined;
  readonly route: RouteName | undefined;
};

export type RouteName = {
  /** `namespace/name`. */
  readonly route: string;
  /** Its name, or its place in the list. */
  readonly rule: string;
};

export type RequestCounts = {
  /** Of bodies only. */
  bytesReceived: number;
  bytesSent: number;
  /** Of gRPC only. */
  requestMessages: number;
  responseMessages: number;
};

/** Who brought it to its end: with `client` and `upstream` the waypoint only carried on what they did. */
export type EndedBy = 'client' | 'upstream' | 'waypoint';

/** A request that is over, as observers see it. */
export type EndedRequest = {
  readonly facts: RequestFacts;
  readonly counts: Readonly<RequestCounts>;
  /** Unix ms. */
  readonly startedAt: number;
  readonly durationMs: number;
  /** Of the last try: from its request to its first byte; undefined: none came. */
  readonly upstreamMs: number | undefined;
  readonly tries: number;
  /** 0: nothing was answered. */
  readonly status: number;
  readonly grpcStatus: number | undefined;
  /** Joined by commas; `-` when there is none. */
  readonly flags: string;
  readonly failure: HttpFailure | undefined;
  readonly endedBy: EndedBy;
};

export type RequestObserver = {
  /** For the log line when it fails. */
  readonly name: string;
  ended(request: EndedRequest): void;
};

export const NO_FLAGS = '-';

export function joinFlags(flags: ReadonlySet<ResponseFlag>): string {
  return flags.size === 0 ? NO_FLAGS : [...flags].join(',');
}
