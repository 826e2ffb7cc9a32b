// Who sent a request: by client certificate, by bearer token, or nobody (anonymous).
// Impersonation headers are honoured for those who may impersonate.

import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import type { Cluster, User } from '../cluster.ts';
import { forbidden, unauthorized } from '../errors.ts';
import { authorize } from './rbac.ts';
import { ISSUER, type Tokens } from './tokens.ts';

export const ANONYMOUS: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

export async function authenticate(
  parts: { readonly cluster: Cluster; readonly tokens: Tokens },
  request: IncomingMessage,
): Promise<User> {
  const user = await identify(parts, request);
  return impersonated(parts.cluster, user, request);
}

async function identify(
  { cluster, tokens }: { readonly cluster: Cluster; readonly tokens: Tokens },
  request: IncomingMessage,
): Promise<User> {
  const fromCertificate = certificateUser(request);
  if (fromCertificate !== undefined) return fromCertificate;
  const authorization = request.headers.authorization ?? '';
  const token = /^bearer\s+(\S+)$/i.exec(authorization)?.[1] ?? protocolToken(request);
  if (token === undefined) {
    if (authorization !== '') throw unauthorized();
    return ANONYMOUS;
  }
  try {
    const verified = await tokens.verify(token, [ISSUER]);
    return verified.user;
  } catch (error) {
    cluster.log.warn('refused a bearer token', { path: request.url, error });
    throw unauthorized();
  }
}

/** Browsers cannot set headers on a WebSocket: the token may come as a sub-protocol. */
function protocolToken(request: IncomingMessage): string | undefined {
  const protocols = request.headers['sec-websocket-protocol'] ?? '';
  const match = /base64url\.bearer\.authorization\.k8s\.io\.([A-Za-z0-9_-]+)/.exec(protocols);
  return match?.[1] === undefined ? undefined : Buffer.from(match[1], 'base64url').toString();
}

function certificateUser(request: IncomingMessage): User | undefined {
  const { socket } = request;
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const subject = socket.getPeerCertificate().subject as
    | { readonly CN?: string | string[]; readonly O?: string | string[] }
    | undefined;
  const name = [subject?.CN ?? []].flat()[0];
  if (name === undefined) return undefined;
  return { name, groups: [...[subject?.O ?? []].flat(), 'system:authenticated'] };
}

function impersonated(cluster: Cluster, user: User, request: IncomingMessage): User {
  const name = one(request.headers['impersonate-user']);
  const groups = request.headersDistinct['impersonate-group'] ?? [];
  if (name === undefined) {
    if (groups.length === 0) return user;
    throw forbidden(
      { group: '', plural: 'users' },
      '',
      'groups cannot be impersonated without a user',
    );
  }
  demand(cluster, user, 'users', name);
  for (const group of groups) demand(cluster, user, 'groups', group);
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name);
  const implied =
    account === null ? [] : ['system:serviceaccounts', `system:serviceaccounts:${account[1]}`];
  return { name, groups: [...new Set([...groups, ...implied, 'system:authenticated'])] };
}

function demand(cluster: Cluster, user: User, resource: string, name: string): void {
  const asked = { verb: 'impersonate', group: '', resource, name };
  if (authorize(cluster, user, asked)) return;
  throw forbidden(
    { group: '', plural: resource },
    name,
    `User "${user.name}" cannot impersonate resource "${resource}" in API group "" at the cluster scope`,
  );
}

function one(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
