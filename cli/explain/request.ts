// The request that a person asks about, and what stands before the service it is for. Called by commands/explain.ts.
// A target is read by the very code that reads it in a waypoint. Pure.

import { classify } from '../../mesh/classify.ts';
import { MeshError } from '../../mesh/failures.ts';
import { waypointsOf } from '../../mesh/gateway.ts';
import type { HttpRequest } from '../../mesh/http-request.ts';
import type { Claims, VerifiedToken } from '../../mesh/request-authentication.ts';
import type { RequestFacts } from '../../mesh/request-subject.ts';
import { serviceKey } from '../../mesh/service.ts';
import { workloadIdentity } from '../../mesh/workload.ts';
import { readHost, readRequestTarget } from '../../wire/request-target.ts';
import { CommandFailure } from '../exit.ts';
import type { Asked } from './evaluate.ts';

/** As it comes from the command line; nothing of it given: no request is asked about. */
export type RequestWords = {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly header?: readonly string[];
  /** JSON: what a verified token would say. */
  readonly claims?: string;
};

export type AskedRequest = {
  readonly request: HttpRequest;
  readonly token: VerifiedToken | undefined;
};

export function asksOfRequest({ method, path, host, header, claims }: RequestWords): boolean {
  return [method, path, host, header, claims].some((one) => one !== undefined);
}

/** `host` is what stands for it where the words do not say. @throws CommandFailure */
export function readRequestWords(words: RequestWords, host: string): AskedRequest {
  const { method = 'GET', path = '/', header = [], claims } = words;
  const target = readRequestTarget(method, path);
  if (target.form === 'refused') {
    throw new CommandFailure(
      `A waypoint refuses the path "${path}" with ${target.status}: ${target.reason}`,
    );
  }
  if (target.form === 'authority') {
    throw new CommandFailure('A waypoint is no forward proxy: it refuses CONNECT with 405');
  }
  const authority = target.form === 'absolute' ? target.authority : readHost(words.host ?? host);
  if (authority === undefined) {
    throw new CommandFailure(`A waypoint refuses the host "${words.host}" with 400`);
  }
  return {
    request: {
      method,
      scheme: 'http',
      authority,
      path: target.path,
      query: target.query,
      headers: header.map(readHeader),
    },
    token: claims === undefined ? undefined : readClaims(claims),
  };
}

function readHeader(text: string): readonly [string, string] {
  const [, name, value = ''] = /^([^:=\s]+)\s*[:=]\s*(.*)$/s.exec(text) ?? [];
  if (name !== undefined) return [name.toLowerCase(), value];
  throw new CommandFailure(`"${text}" is no header: write --header NAME=VALUE`);
}

function readClaims(text: string): VerifiedToken {
  let claims: unknown;
  try {
    claims = JSON.parse(text);
  } catch {
    // said below
  }
  if (typeof claims !== 'object' || claims === null || !('iss' in claims)) {
    throw new CommandFailure(
      `--claims is what a token says, in JSON, with its issuer: '{"iss":"https://id.example","sub":"ann"}'`,
    );
  }
  return { issuer: String(claims.iss), claims: claims as Claims };
}

/** Where the request would be looked at. */
export type WaypointBefore = {
  /** Of the Gateway. */
  readonly namespace: string;
  readonly name: string;
  /** Key of the service that is asked for; undefined: a workload by its own address. */
  readonly service: string | undefined;
  readonly hostname: string;
};

/** undefined: nothing between the two looks at requests. */
export function waypointBefore({ source, to, snapshot }: Asked): WaypointBefore | undefined {
  // who is not captured goes around it
  if (source.protocol !== 'hbone') return undefined;
  try {
    const intent = classify(source, to, snapshot);
    if (intent.kind !== 'waypoint') return undefined;
    const isService = 'service' in intent.of;
    const [first] = waypointsOf(isService ? intent.of.service : intent.of.workload);
    if (first?.destination.by !== 'hostname') return undefined;
    const { namespace, hostname } = first.destination;
    return {
      namespace,
      name: hostname.slice(0, Math.max(hostname.indexOf('.'), 0)),
      service: isService ? serviceKey(intent.of.service) : undefined,
      hostname: isService ? intent.of.service.hostname : intent.of.workload.hostname,
    };
  } catch (error) {
    if (error instanceof MeshError) return undefined;
    throw error;
  }
}

export function factsOf({ source, to }: Asked, { request, token }: AskedRequest): RequestFacts {
  const [ip = to.ip] = source.addresses;
  return {
    request,
    token,
    source: { identity: workloadIdentity(source), ip },
    destination: to,
    sni: undefined,
    trustedHops: 0,
  };
}
