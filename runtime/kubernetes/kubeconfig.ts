// Where the Kubernetes API is and how to authenticate to it: a kubeconfig file or the pod's own ServiceAccount.
// The only importer of @kubernetes/client-node, and lazily: it costs 400 ms and 80 MB, so only those who connect pay.

import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { isIP, isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { checkServerIdentity } from 'node:tls';
import { ForwardedPort } from './forwarded-port.ts';

export type KubernetesSettings = {
  /** Path of a kubeconfig file; without it the ServiceAccount files and variables of a pod are used. */
  readonly kubeconfig?: string;
  /** A context of that file; its current one without it. */
  readonly context?: string;
  /** What Kubernetes gives every pod; needs neither a kubeconfig nor the library that reads one. */
  readonly pod?: {
    readonly host: string;
    readonly port: number;
    /** Holds `token` and `ca.crt`. */
    readonly serviceAccountDir: string;
  };
};

export type Access = {
  /** Base address of the API server, e.g. `https://10.0.0.1:6443`. */
  readonly server: URL;
  /** TLS options and headers of one request; asked for each request, because tokens are renewed. */
  credentials(): Promise<RequestOptions>;
  portForward(namespace: string, pod: string, port: number): Promise<Duplex>;
};

/** @throws Error when the file or context does not exist or names no cluster */
export async function loadAccess(settings: KubernetesSettings): Promise<Access> {
  if (settings.pod !== undefined) return podAccess(settings.pod);
  const { KubeConfig, PortForward } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  const source = settings.kubeconfig ?? 'the ServiceAccount of this pod';
  try {
    if (settings.kubeconfig === undefined) config.loadFromCluster();
    else config.loadFromFile(settings.kubeconfig);
  } catch (cause) {
    throw new Error(`Cannot read the Kubernetes configuration from ${source}`, { cause });
  }
  if (settings.context !== undefined) config.setCurrentContext(settings.context);
  const cluster = config.getCurrentCluster();
  if (cluster === null || !URL.canParse(cluster.server)) {
    throw new Error(
      `Cannot find a Kubernetes cluster in ${source}: context "${config.getCurrentContext()}" names none. ` +
        'Give a kubeconfig with a current context, or run inside a pod',
    );
  }

  return {
    server: new URL(cluster.server),
    async credentials() {
      const options: RequestOptions = {};
      await config.applyToHTTPSOptions(options);
      // client-node's agent does not keep connections; it is only needed to pass through a proxy
      if (cluster.proxyUrl === undefined) delete options.agent;
      const { Authorization: token, ...headers } = (options.headers ?? {}) as Record<
        string,
        string
      >;
      // the library takes a token file's line end for a part of the token
      if (token !== undefined) options.headers = { ...headers, Authorization: token.trim() };
      return withServerName(options, cluster.tlsServerName);
    },
    async portForward(namespace, pod, port) {
      const target = `port ${port} of pod ${namespace}/${pod}`;
      const forwarded = new ForwardedPort({ target });
      const { fromPod, errors, toPod } = forwarded;
      const forward = new PortForward(config);
      const made = await forward
        .portForward(namespace, pod, [port], fromPod, errors, toPod)
        .catch((cause: unknown) => {
          throw new Error(`Cannot forward ${target}: ${reasonOf(cause)}`, { cause });
        });
      const socket = typeof made === 'function' ? made() : made;
      socket?.addEventListener('close', () => forwarded.disconnected());
      forwarded.connected(() => socket?.close());
      // the kubelet may have said no before we were done
      if (forwarded.errored !== null) throw forwarded.errored;
      return forwarded;
    },
  };
}

/** `tls-server-name`: who is expected there. An address is checked, but never sent in a TLS hello (RFC 6066). */
function withServerName(options: RequestOptions, name: string | undefined): RequestOptions {
  if (name === undefined || name === '') return options;
  if (isIP(name) === 0) return { ...options, servername: name };
  const { servername: _, ...rest } = options;
  return { ...rest, checkServerIdentity: (_host, cert) => checkServerIdentity(name, cert) };
}

/** The WebSocket library rejects with an event that holds the error. */
function reasonOf(cause: unknown): string {
  if (cause instanceof Error) return cause.message;
  if (typeof cause === 'object' && cause !== null && 'message' in cause)
    return String(cause.message);
  return String(cause);
}

function podAccess(pod: NonNullable<KubernetesSettings['pod']>): Access {
  const host = isIPv6(pod.host) ? `[${pod.host}]` : pod.host;
  return {
    server: new URL(`https://${host}:${pod.port}`),
    async credentials() {
      // read each time: the kubelet renews both, and a read costs less than the request it is for
      const [token, ca] = await Promise.all(
        ['token', 'ca.crt'].map((file) => readFile(join(pod.serviceAccountDir, file), 'utf8')),
      );
      return { ca, headers: { authorization: `Bearer ${token?.trim()}` } };
    },
    portForward(namespace, name) {
      const target = `${namespace}/${name}`;
      throw new Error(`Cannot forward a port of pod ${target}: this needs a kubeconfig`);
    },
  };
}
