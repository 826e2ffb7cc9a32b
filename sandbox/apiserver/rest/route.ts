// From a parsed request to the verb that answers it: authorisation first, then discovery, reviews, reads, writes, proxying.

import { type Action, authorize, forbiddenAction } from '../auth/rbac.ts';
import { answerReview } from '../auth/reviews.ts';
import { asVersion, type Cluster, readObject } from '../cluster.ts';
import { badRequest, methodNotAllowed, noSuchPath, notFound } from '../errors.ts';
import { hasSubresource, type KindDefinition } from '../kinds.ts';
import { bindPod, evictPod } from '../write/pod-actions.ts';
import { scaleOf } from '../write/scale.ts';
import { issueAccountToken } from './account-token.ts';
import { decodeBody, mediaTypeOf, readBody } from './body.ts';
import { serveDocuments } from './documents.ts';
import { type Exchange, send, sendList, sendObject } from './exchange.ts';
import type { RouteParts } from './parts.ts';
import { type ApiPath, parseApiPath, type ResourcePath } from './path.ts';
import { proxyRequest } from './proxy.ts';
import { getObject, listObjects, selectionOf } from './read.ts';
import { isTrue, serveWatch } from './watch.ts';
import {
  formOf,
  serveCreate,
  serveDelete,
  serveDeleteCollection,
  servePatch,
  serveUpdate,
  type Target,
  writeRequestOf,
} from './write.ts';

/** Paths anybody may read, as load balancers and clients in doubt do. */
const PUBLIC_PATHS = ['/healthz', '/livez', '/readyz', '/version'];
/** Subresources whose requests go to a kubelet. */
const PROXIED = ['log', 'exec', 'attach', 'portforward', 'proxy'];

export async function route(parts: RouteParts, exchange: Exchange): Promise<void> {
  const path = parseApiPath(exchange.url.pathname);
  permit(parts, exchange, path);
  if (path.is !== 'resource') {
    serveDocuments(parts, exchange, path);
    return;
  }
  const kind = parts.cluster.kinds.find(path.group, path.version, path.resource);
  if (kind === undefined) throw noSuchPath();
  if (kind.deprecationWarning !== undefined) exchange.warnings.push(kind.deprecationWarning);
  if (kind.virtual === true) {
    await serveVirtual(parts, exchange, kind, path);
    return;
  }
  if (!kind.namespaced && path.namespace !== undefined) throw noSuchPath();
  if (path.subresource === undefined) await serveMain(parts, exchange, kind, path);
  else if (!hasSubresource(kind, path.subresource)) throw noSuchPath();
  else if (PROXIED.includes(path.subresource)) await proxyRequest(parts, exchange, kind, path);
  else await serveSubresource(parts, exchange, kind, path);
}

/** Refuses what the user may not do, before it is known whether the object exists. */
export function permit(parts: RouteParts, exchange: Exchange, path: ApiPath): void {
  const action = actionOf(exchange, path);
  if ('path' in action && isPublic(action.path) && action.verb === 'get') return;
  if (!authorize(parts.cluster, exchange.user, action))
    throw forbiddenAction(exchange.user, action);
}

function isPublic(path: string): boolean {
  return PUBLIC_PATHS.some((open) => path === open || path.startsWith(`${open}/`));
}

function actionOf(exchange: Exchange, path: ApiPath): Action {
  const method = exchange.request.method ?? 'GET';
  if (path.is !== 'resource') {
    return { verb: method === 'HEAD' ? 'get' : method.toLowerCase(), path: exchange.url.pathname };
  }
  // a namespace object lives in itself as far as authorisation goes
  const ownNamespace =
    path.group === '' && path.resource === 'namespaces' && path.name !== undefined
      ? path.name
      : undefined;
  const namespace = path.namespace ?? ownNamespace;
  return {
    verb: verbOf(method, path, exchange.url.searchParams),
    group: path.group,
    resource: path.resource,
    ...(path.subresource === undefined ? {} : { subresource: path.subresource }),
    ...(path.name === undefined ? nameSelected(exchange.url.searchParams) : { name: path.name }),
    ...(namespace === undefined ? {} : { namespace }),
  };
}

/** A list or watch of one name may be allowed by that name. */
function nameSelected(query: URLSearchParams): { name?: string } {
  const match = /(?:^|,)metadata\.name==?([^,]+)(?:,|$)/.exec(query.get('fieldSelector') ?? '');
  return match?.[1] === undefined ? {} : { name: match[1] };
}

export function verbOf(method: string, path: ResourcePath, query: URLSearchParams): string {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (isTrue(query.get('watch'))) return path.subresource === undefined ? 'watch' : 'get';
      return path.name === undefined ? 'list' : 'get';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return path.name === undefined ? 'deletecollection' : 'delete';
    default:
      return method.toLowerCase();
  }
}

async function serveMain(
  { cluster }: RouteParts,
  exchange: Exchange,
  kind: KindDefinition,
  path: ResourcePath,
): Promise<void> {
  const { namespace, name } = path;
  const query = exchange.url.searchParams;
  const verb = verbOf(exchange.request.method ?? 'GET', path, query);
  if (name !== undefined && kind.namespaced && namespace === undefined) throw noSuchPath();
  checkScope(kind, path, verb);
  switch (verb) {
    case 'get':
      sendObject(
        exchange,
        200,
        getObject(cluster, kind, namespace, name ?? ''),
        kind,
        formOf(exchange, kind),
      );
      return;
    case 'list': {
      const page = listObjects(cluster, selectionOf(kind, namespace, query), query);
      sendList(exchange, page.items, kind, page.meta, formOf(exchange, kind));
      return;
    }
    case 'watch': {
      const selection = selectionOf(kind, namespace, query, name);
      await serveWatch(cluster, exchange, selection, formOf(exchange, kind));
      return;
    }
    default: {
      const serve = WRITES[verb];
      if (serve === undefined) throw methodNotAllowed(kind, verb);
      await serve(cluster, exchange, { kind, namespace, name: name ?? '', subresource: undefined });
    }
  }
}

const WRITES: Readonly<
  Record<string, (cluster: Cluster, exchange: Exchange, target: Target) => Promise<void>>
> = {
  create: serveCreate,
  update: serveUpdate,
  patch: servePatch,
  delete: serveDelete,
  deletecollection: serveDeleteCollection,
};

/** Which verbs need a name or a namespace, and which must not have them. */
function checkScope(kind: KindDefinition, { namespace, name }: ResourcePath, verb: string): void {
  const everywhere = kind.namespaced && namespace === undefined;
  switch (verb) {
    case 'create':
      if (name !== undefined) throw methodNotAllowed(kind, verb);
      if (everywhere) throw badRequest(`${kind.plural} must be created in a namespace`);
      return;
    case 'update':
    case 'patch':
      if (name === undefined) throw methodNotAllowed(kind, verb);
      return;
    case 'deletecollection':
      // wiping a kind across all namespaces, or all namespaces, is never meant
      if (everywhere || (kind.plural === 'namespaces' && kind.group === '')) {
        throw methodNotAllowed(kind, verb);
      }
      return;
    default:
  }
}

async function serveSubresource(
  parts: RouteParts,
  exchange: Exchange,
  kind: KindDefinition,
  path: ResourcePath,
): Promise<void> {
  const { cluster } = parts;
  const name = path.name ?? '';
  const target: Target = { kind, namespace: path.namespace, name, subresource: path.subresource };
  const verb = verbOf(exchange.request.method ?? 'GET', path, exchange.url.searchParams);
  const allowed = kind.subresources.find((entry) => entry.name === path.subresource)?.verbs ?? [];
  if (!allowed.includes(verb)) throw methodNotAllowed(kind, verb);
  switch (verb) {
    case 'get': {
      const object = readObject(cluster, kind, name, path.namespace);
      if (object === undefined) throw notFound(kind, name);
      const shown = asVersion(object, kind);
      if (path.subresource === 'scale') send(exchange, 200, scaleOf(kind, shown));
      else sendObject(exchange, 200, shown, kind, formOf(exchange, kind));
      return;
    }
    case 'update':
      await serveUpdate(cluster, exchange, target);
      return;
    case 'patch':
      await servePatch(cluster, exchange, target);
      return;
    default:
      await servePost(parts, exchange, target);
  }
}

/** Subresources that are actions: a POST makes something happen and answers with the action's own kind. */
async function servePost(parts: RouteParts, exchange: Exchange, target: Target): Promise<void> {
  const { cluster } = parts;
  const body = decodeBody(await readBody(exchange.request), mediaTypeOf(exchange.request));
  const request = writeRequestOf(exchange, target);
  switch (target.subresource) {
    case 'binding':
      send(exchange, 201, bindPod(cluster, target.name, body, request));
      return;
    case 'eviction':
      send(exchange, 201, evictPod(cluster, target.name, body, request));
      return;
    case 'token': {
      const account = { namespace: target.namespace ?? '', name: target.name };
      const settings = parts.tokenSettings;
      const answer = await issueAccountToken({ ...parts, settings }, account, body, request.dryRun);
      send(exchange, 201, answer);
      return;
    }
    default:
      throw methodNotAllowed(target.kind, 'create');
  }
}

async function serveVirtual(
  parts: RouteParts,
  exchange: Exchange,
  kind: KindDefinition,
  path: ResourcePath,
): Promise<void> {
  if (exchange.request.method !== 'POST')
    throw methodNotAllowed(kind, exchange.request.method ?? '');
  const body = decodeBody(await readBody(exchange.request), mediaTypeOf(exchange.request));
  if (kind.kind === 'Binding') {
    const target: Target = { kind, namespace: path.namespace, name: '', subresource: 'binding' };
    const pods = parts.cluster.kinds.find('', 'v1', 'pods');
    const name = (body as { metadata?: { name?: string } } | undefined)?.metadata?.name ?? '';
    if (pods === undefined) throw noSuchPath();
    send(
      exchange,
      201,
      bindPod(parts.cluster, name, body, { ...writeRequestOf(exchange, target), kind: pods }),
    );
    return;
  }
  const { user } = exchange;
  send(exchange, 201, await answerReview(parts, { kind, body, user, namespace: path.namespace }));
}
