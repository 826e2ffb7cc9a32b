// An API server that somebody else runs, as a kubeconfig file describes it: read and checked before anything is started.
// Called by sandbox/main.ts. Invariant: what it gives needs no other file, except a token's, which its owner renews.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, resolve } from 'node:path';
import { parse, stringify } from 'yaml';

export type GivenServer = {
  /** Where this machine reaches it. */
  readonly host: string;
  readonly port: number;
  /** The current context of the file alone, as the text of a kubeconfig. */
  readonly kubeconfig: string;
};

type Fields = Readonly<Record<string, unknown>>;
type Named = { readonly name?: unknown } & Fields;

const HTTPS_PORT = 443;
/** A far one answers within a second; a firewall that swallows everything never does. */
const REACH_TIMEOUT_MS = 10_000;

/** @throws Error that names the file and what of it cannot be used */
export function readGivenServer(file: string): GivenServer {
  try {
    const config = parse(readFileSync(file, 'utf8')) as Fields | null;
    return givenServer(config ?? {}, dirname(resolve(file)));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Cannot use the API server of ${file}: ${reason}`, { cause });
  }
}

/** @throws Error when nobody listens there: better said at once, and by the address that people know */
export async function checkReachable({ host, port }: GivenServer): Promise<void> {
  const socket = connect({ host, port, timeout: REACH_TIMEOUT_MS });
  socket.on('timeout', () => {
    socket.destroy(new Error(`no answer within ${REACH_TIMEOUT_MS} ms`));
  });
  try {
    await once(socket, 'connect');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(
      `Cannot reach the API server at ${host}:${port}: ${reason}: check that it runs`,
      {
        cause,
      },
    );
  } finally {
    socket.destroy();
  }
}

function givenServer(config: Fields, directory: string): GivenServer {
  const name = config['current-context'];
  if (typeof name !== 'string' || name === '') {
    throw new Error('it has no current context; choose one with "kubectl config use-context NAME"');
  }
  const context = member(config, 'contexts', name, 'context');
  const cluster = member(config, 'clusters', String(context['cluster']), 'cluster');
  const user = member(config, 'users', String(context['user']), 'user');
  const url = serverOf(cluster);
  refuseUnsupported(cluster, user);
  const kubeconfig = stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: inlined(cluster, ['certificate-authority'], directory) }],
    users: [{ name, user: inlined(user, ['client-certificate', 'client-key'], directory) }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  });
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return { host, port: url.port === '' ? HTTPS_PORT : Number(url.port), kubeconfig };
}

function member(config: Fields, list: string, name: string, field: string): Fields {
  const entries = config[list];
  const found = Array.isArray(entries)
    ? (entries as readonly Named[]).find((entry) => entry.name === name)
    : undefined;
  const value = found?.[field];
  if (typeof value === 'object' && value !== null) return value as Fields;
  throw new Error(`its current context needs "${name}" under ${list}, which is not there`);
}

function serverOf(cluster: Fields): URL {
  const server = cluster['server'];
  const url = typeof server === 'string' ? URL.parse(server) : null;
  if (url?.protocol !== 'https:') {
    throw new Error(`its server is "${String(server)}": expected one that begins with https://`);
  }
  return url;
}

function refuseUnsupported(cluster: Fields, user: Fields): void {
  for (const field of ['exec', 'auth-provider']) {
    if (user[field] === undefined) continue;
    throw new Error(
      `its user signs in through "${field}", a program that is not run here; give it a client certificate or a token`,
    );
  }
  if (cluster['proxy-url'] !== undefined) {
    throw new Error(
      'it is reached through "proxy-url", which is not supported; give a direct address',
    );
  }
}

/** Named files become their content: paths may be relative, and go when the sandbox's own copy stays. */
function inlined(fields: Fields, names: readonly string[], directory: string): Fields {
  const copy: Record<string, unknown> = { ...fields };
  for (const name of names) {
    const path = copy[name];
    if (typeof path !== 'string') continue;
    delete copy[name];
    copy[`${name}-data`] ??= readFileSync(resolve(directory, path)).toString('base64');
  }
  const { tokenFile } = copy;
  if (typeof tokenFile === 'string') copy['tokenFile'] = resolve(directory, tokenFile);
  return copy;
}
