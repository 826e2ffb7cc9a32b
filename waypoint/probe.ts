// Is an endpoint well? Asked in the way its policy says: over HTTP, by a mere connection, or by gRPC's health protocol. Called
// by health-check.ts through traffic.ts; the way there is that of any request, so that a check fails where requests would.

import type { Readable, Writable } from 'node:stream';
import { type Service, serviceKey } from '../mesh/service.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import type { HealthChecks } from '../mesh/traffic-policy.ts';
import type { PortMapping, Workload } from '../mesh/workload.ts';
import { encodeHealthCheck, HEALTH_CHECK_PATH, isServing } from '../wire/grpc-health.ts';
import { grpcStatusIn } from './attempt.ts';
import type { UpstreamParts } from './resilience/upstream.ts';
import type { Dialer } from './upstream/dial.ts';
import { type Endpoints, hopOf, type Target } from './upstream/endpoints.ts';
import type { RequestBody, UpstreamRequest } from './upstream/upstream.ts';

/** A health page is a few words; a server that says more is judged by its status. */
const MAX_ANSWER_BYTES = 64 * 1024;
const AGENT = 'ambit-health-check';

export type ProbeParts = {
  readonly endpoints: Endpoints;
  readonly dialer: Pick<Dialer, 'open'>;
  readonly snapshot: () => Snapshot;
  readonly self: () => Workload | undefined;
};

export function probeWith({
  endpoints,
  dialer,
  snapshot,
  self,
}: ProbeParts): UpstreamParts['probe'] {
  return async (service, port, uid, { probe }, signal) => {
    const target = targetOf(service, port, snapshot().workloadByUid(uid));
    const [own] = self()?.addresses ?? [];
    if (target === undefined || own === undefined) return false;
    const announced = { from: { ip: own, port: 0 } };
    if (probe.kind === 'tcp') {
      const leg = await dialer.open(hopOf(target), announced, signal);
      leg.reset();
      return true;
    }
    const isGrpc =
      probe.kind === 'grpc' || port.appProtocol === 'http2' || port.appProtocol === 'grpc';
    const send = endpoints.sender(target, isGrpc ? 'http2' : 'http1', undefined);
    const response = await send({ ...requestOf(service, probe), announced }, signal);
    const bytes = await read(response.body);
    if (probe.kind === 'http') {
      return probe.expectedStatuses.some(
        ([first, last]) => response.status >= first && response.status <= last,
      );
    }
    const status = grpcStatusIn(response.headOnly ? response.headers : response.trailers());
    return status === 0 && isServing(bytes);
  };
}

function targetOf(
  service: Service,
  port: PortMapping,
  workload: Workload | undefined,
): Target | undefined {
  const [ip] = workload?.addresses ?? [];
  const mapping = workload?.services
    .get(serviceKey(service))
    ?.find(({ servicePort }) => servicePort === port.servicePort);
  if (workload === undefined || ip === undefined || mapping === undefined) return undefined;
  return {
    workload,
    to: { ip, port: mapping.targetPort || port.targetPort },
    service,
    servicePort: port.servicePort,
  };
}

function requestOf(
  { hostname }: Service,
  probe: Exclude<HealthChecks['probe'], { kind: 'tcp' }>,
): Omit<UpstreamRequest, 'announced'> {
  const common = {
    scheme: 'http',
    authority: hostname,
    onContinue: undefined,
    onHints: () => {},
    onConnection: () => {},
    upgrade: undefined,
  } as const;
  if (probe.kind === 'http') {
    const headers = [['user-agent', AGENT]] as const;
    return { ...common, method: 'GET', target: probe.path, headers, body: undefined };
  }
  return {
    ...common,
    method: 'POST',
    target: HEALTH_CHECK_PATH,
    headers: [
      ['user-agent', AGENT],
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
    ],
    body: new WholeBody(encodeHealthCheck(probe.service)),
  };
}

class WholeBody implements RequestBody {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  attach(to: Writable): () => void {
    to.end(this.#bytes);
    return () => {};
  }
}

/** To its end; what is beyond the limit is let go of unread. */
function read(body: Readable): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    body.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= MAX_ANSWER_BYTES) chunks.push(chunk);
      else body.destroy();
    });
    body.on('error', reject);
    body.once('close', () => resolve(Buffer.concat(chunks)));
  });
}
