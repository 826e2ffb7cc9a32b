// The verbs of the Kubernetes API over values, without discovery and without generated classes. Used by whoever talks
// to Kubernetes: ca, control-plane, cli, sandbox, tests. Each failure is a KubeError that names the verb and the object.

import type { Duplex } from 'node:stream';
import { type Access, type KubernetesSettings, loadAccess } from './kubeconfig.ts';
import type { KubeObject } from './objects.ts';
import { apiVersionOf, pathOf, type Resource } from './resources.ts';
import { type Exchange, openTransport, type Reply, type Transport } from './transport.ts';

/** The API refused (its HTTP status and reason), or was not reached (status 0, reason `Unreachable`). */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  readonly status: number;
  /** Kubernetes' own word: NotFound, Conflict, AlreadyExists, Expired, Forbidden ... */
  readonly reason: string;
  /** The same word; an error with a code is foreseen, and is logged without its stack. */
  readonly code: string;

  constructor(status: number, reason: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.status = status;
    this.reason = reason;
    this.code = reason;
  }
}

export type ListOptions = {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly limit?: number;
  readonly continue?: string;
  readonly resourceVersion?: string;
};
export type WatchOptions = {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly resourceVersion: string;
  readonly timeoutSeconds?: number;
};
export type WatchEvent<T> = {
  /** A BOOKMARK's object carries nothing but its resourceVersion. */
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: T;
};
export type Page<T> = {
  readonly items: T[];
  readonly resourceVersion: string;
  readonly continue?: string;
};
export type PatchOptions = {
  readonly type?: 'merge' | 'json' | 'strategic';
  readonly subresource?: string;
};
export type DeleteOptions = {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
};

export interface KubeClient {
  list<T extends KubeObject>(
    resource: Resource,
    options?: ListOptions,
    signal?: AbortSignal,
  ): Promise<Page<T>>;
  /** Resolves when the server ends the watch; rejects with KubeError 410 when `resourceVersion` is too old. */
  watch<T extends KubeObject>(
    resource: Resource,
    options: WatchOptions,
    onEvent: (event: WatchEvent<T>) => void,
    signal: AbortSignal,
  ): Promise<void>;
  /** undefined when there is no such object. */
  get<T extends KubeObject>(
    resource: Resource,
    name: string,
    namespace?: string,
  ): Promise<T | undefined>;
  create<T extends KubeObject>(resource: Resource, object: T): Promise<T>;
  /** Rejects with KubeError 409 when the object's resourceVersion is not the newest. */
  update<T extends KubeObject>(resource: Resource, object: T, subresource?: string): Promise<T>;
  /** Server-side apply. */
  apply<T extends KubeObject>(
    resource: Resource,
    object: T,
    options: {
      readonly fieldManager: string;
      readonly force?: boolean;
      readonly subresource?: string;
    },
  ): Promise<T>;
  patch<T extends KubeObject>(
    resource: Resource,
    name: string,
    namespace: string | undefined,
    patch: unknown,
    options?: PatchOptions,
  ): Promise<T>;
  /** Rejects with KubeError 404 when there is no such object. */
  delete(
    resource: Resource,
    name: string,
    namespace?: string,
    options?: DeleteOptions,
  ): Promise<void>;
  /** POST to a subresource: `token` of a ServiceAccount, `binding` or `eviction` of a Pod. */
  subcreate<T>(
    resource: Resource,
    name: string,
    namespace: string,
    subresource: string,
    body: unknown,
  ): Promise<T>;
  /** What the server says it is; `gitVersion` is e.g. `v1.32.0`. */
  version(): Promise<{ readonly gitVersion: string }>;
  /** A byte stream to a TCP port of a pod. */
  portForward(namespace: string, pod: string, port: number): Promise<Duplex>;
}

export async function connectKubernetes(settings: KubernetesSettings = {}): Promise<KubeClient> {
  return clientOver(await loadAccess(settings));
}

const PATCH_TYPES = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
} as const;

/** For tests and for those who have an Access of their own. */
export function clientOver(
  access: Access,
  transport: Transport = openTransport(access),
): KubeClient {
  const where = access.server.origin;

  async function call<T>(what: string, exchange: Exchange, signal?: AbortSignal): Promise<T> {
    const reply = await reach(where, what, signal, () => transport.exchange(exchange, signal));
    if (reply.status < 200 || reply.status > 299) throw refusal(what, reply);
    return parseJson(what, reply.body) as T;
  }

  return {
    async list<T extends KubeObject>(
      resource: Resource,
      options: ListOptions = {},
      signal?: AbortSignal,
    ) {
      const { namespace, ...query } = options;
      const path = pathOf(resource, placed(namespace)) + queryOf(query);
      const what = `list ${resource.plural}`;
      const answer = await call<{
        metadata?: { resourceVersion?: string; continue?: string };
        items?: T[] | null;
      }>(what, { method: 'GET', path }, signal);
      // taken for an empty list, another answer would be taken for an empty cluster
      if (answer?.items !== null && !Array.isArray(answer?.items)) {
        throw new KubeError(0, 'Malformed', `Cannot ${what}: the answer is no list`);
      }
      const next = answer.metadata?.continue;
      return {
        items: answer.items ?? [],
        resourceVersion: answer.metadata?.resourceVersion ?? '',
        ...(next === undefined || next === '' ? {} : { continue: next }),
      };
    },

    async watch<T extends KubeObject>(
      resource: Resource,
      options: WatchOptions,
      onEvent: (event: WatchEvent<T>) => void,
      signal: AbortSignal,
    ) {
      const what = `watch ${resource.plural}`;
      const { namespace, ...query } = options;
      const path =
        pathOf(resource, placed(namespace)) +
        queryOf({ ...query, watch: 'true', allowWatchBookmarks: 'true' });
      const onLine = (line: string): void => {
        const event = parseJson(what, line) as { type: string; object: unknown };
        if (event.type === 'ERROR') throw refusalOf(what, event.object as StatusObject);
        onEvent(event as WatchEvent<T>);
      };
      const reply = await reach(where, what, signal, () => transport.lines(path, onLine, signal));
      if (reply !== undefined) throw refusal(what, reply);
    },

    async get<T extends KubeObject>(resource: Resource, name: string, namespace?: string) {
      const what = `get ${describe(resource, name, namespace)}`;
      const exchange = { method: 'GET', path: pathOf(resource, placed(namespace, name)) } as const;
      try {
        return await call<T>(what, exchange);
      } catch (error) {
        if (error instanceof KubeError && error.status === 404) return undefined;
        throw error;
      }
    },

    create<T extends KubeObject>(resource: Resource, object: T) {
      const { namespace, name, generateName } = object.metadata;
      const what = `create ${describe(resource, name ?? `${generateName ?? ''}*`, namespace)}`;
      const path = pathOf(resource, placed(namespace));
      return call<T>(what, { method: 'POST', path, body: typed(resource, object) });
    },

    update<T extends KubeObject>(resource: Resource, object: T, subresource?: string) {
      const { namespace, name = '' } = object.metadata;
      const what = `update ${describe(resource, name, namespace, subresource)}`;
      const path = pathOf(resource, placed(namespace, name, subresource));
      return call<T>(what, { method: 'PUT', path, body: typed(resource, object) });
    },

    apply<T extends KubeObject>(
      resource: Resource,
      object: T,
      options: { fieldManager: string; force?: boolean; subresource?: string },
    ) {
      const { namespace, name = '' } = object.metadata;
      const { fieldManager, force, subresource } = options;
      const path =
        pathOf(resource, placed(namespace, name, subresource)) +
        queryOf({ fieldManager, ...(force === true ? { force: 'true' } : {}) });
      return call<T>(`apply ${describe(resource, name, namespace, subresource)}`, {
        method: 'PATCH',
        path,
        body: typed(resource, object),
        contentType: 'application/apply-patch+yaml',
      });
    },

    patch<T extends KubeObject>(
      resource: Resource,
      name: string,
      namespace: string | undefined,
      patch: unknown,
      options: PatchOptions = {},
    ) {
      return call<T>(`patch ${describe(resource, name, namespace, options.subresource)}`, {
        method: 'PATCH',
        path: pathOf(resource, placed(namespace, name, options.subresource)),
        body: patch,
        contentType: PATCH_TYPES[options.type ?? 'merge'],
      });
    },

    async delete(resource, name, namespace, options = {}) {
      await call<unknown>(`delete ${describe(resource, name, namespace)}`, {
        method: 'DELETE',
        path: pathOf(resource, placed(namespace, name)),
        body: { apiVersion: 'v1', kind: 'DeleteOptions', ...options },
      });
    },

    subcreate<T>(
      resource: Resource,
      name: string,
      namespace: string,
      subresource: string,
      body: unknown,
    ) {
      const path = pathOf(resource, placed(namespace, name, subresource));
      const what = `create ${describe(resource, name, namespace, subresource)}`;
      return call<T>(what, { method: 'POST', path, body });
    },

    version: () => call('ask for the version', { method: 'GET', path: '/version' }),

    portForward: (namespace, pod, port) => access.portForward(namespace, pod, port),
  };
}

async function reach<T>(
  where: string,
  what: string,
  signal: AbortSignal | undefined,
  run: () => Promise<T>,
): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof KubeError) throw cause;
    const text = cause instanceof Error ? cause.message || String(cause) : String(cause);
    throw new KubeError(0, 'Unreachable', `Cannot ${what}: Kubernetes API at ${where}: ${text}`, {
      cause,
    });
  }
}

type StatusObject = { readonly code?: number; readonly reason?: string; readonly message?: string };

function refusal(what: string, reply: Reply): KubeError {
  let status: StatusObject = {};
  try {
    status = JSON.parse(reply.body) as StatusObject;
  } catch {
    // a proxy's error page instead of a Status object: its text is the best message there is
    status = { message: reply.body.slice(0, 300) };
  }
  return refusalOf(what, { ...status, code: reply.status });
}

function refusalOf(what: string, status: StatusObject): KubeError {
  const code = status.code ?? 500;
  const reason = status.reason ?? (code === 410 ? 'Expired' : 'Unknown');
  return new KubeError(code, reason, `Cannot ${what}: ${status.message ?? reason} (${code})`);
}

function parseJson(what: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new KubeError(
      0,
      'Malformed',
      `Cannot ${what}: the answer is not JSON: ${text.slice(0, 100)}`,
      {
        cause,
      },
    );
  }
}

function typed<T extends KubeObject>(resource: Resource, object: T): T {
  return { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind };
}

function placed(
  namespace?: string,
  name?: string,
  subresource?: string,
): { namespace?: string; name?: string; subresource?: string } {
  return {
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
  };
}

function queryOf(query: Readonly<Record<string, string | number | undefined>>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') search.set(key, String(value));
  }
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

function describe(
  resource: Resource,
  name: string,
  namespace?: string,
  subresource?: string,
): string {
  const place = namespace === undefined || !resource.namespaced ? name : `${namespace}/${name}`;
  return `${resource.kind} ${place}${subresource === undefined ? '' : `/${subresource}`}`;
}
