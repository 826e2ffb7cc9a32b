// Resolves names as a pod does: by the cluster DNS, with the pod's search domains. Installed by loopback-hook.ts in place
// of dns.lookup, which asks the machine's resolver. Invariant: the callback comes asynchronously and exactly once.

import dns from 'node:dns';
import { isIP } from 'node:net';

type Address = { address: string; family: number };
type LookupOptions = { readonly family?: number | 'IPv4' | 'IPv6'; readonly all?: boolean };
type LookupCallback = (error: NodeJS.ErrnoException | null, ...found: unknown[]) => void;

/** `options ndots:5`: a name with fewer dots is looked for in the search domains first. */
const NDOTS = 5;

/** Later, `dns.lookup` and `dns.promises.lookup` of this process are ours, and `dns.resolve*` ask `server`. */
export function installNamesHook(settings: {
  readonly server: string;
  readonly localAddress: string;
  readonly search: readonly string[];
}): void {
  dns.setServers([settings.server]);
  const resolver = new dns.promises.Resolver({ timeout: 2_000, tries: 2 });
  resolver.setServers([settings.server]);
  resolver.setLocalAddress(settings.localAddress);
  const original = dns.promises.lookup;

  async function find(hostname: string, options: LookupOptions): Promise<Address[]> {
    const family =
      options.family === 'IPv6' ? 6 : options.family === 'IPv4' ? 4 : (options.family ?? 0);
    if (isIP(hostname) !== 0 || hostname === '') {
      return await original(hostname, { family, all: true });
    }
    // loopback addresses are IPv4 only, but names outside the cluster may have others
    if (hostname === 'localhost') return [{ address: '127.0.0.1', family: 4 }];
    let failure: unknown;
    for (const name of candidates(hostname, settings.search)) {
      try {
        return await addresses(resolver, name, family);
      } catch (error) {
        failure = error;
        const code = (error as NodeJS.ErrnoException).code;
        if (code !== 'ENOTFOUND' && code !== 'ENODATA') break;
      }
    }
    throw lookupError(hostname, failure);
  }

  function lookup(hostname: string, ...rest: unknown[]): void {
    const done = rest.at(-1) as LookupCallback;
    const first = rest.length > 1 ? rest[0] : undefined;
    const options: LookupOptions =
      typeof first === 'number' ? { family: first } : ((first ?? {}) as LookupOptions);
    void answer(hostname, options, done);
  }

  async function answer(
    hostname: string,
    options: LookupOptions,
    done: LookupCallback,
  ): Promise<void> {
    let result: Parameters<LookupCallback>;
    try {
      const found = await find(hostname, options);
      result = options.all === true ? [null, found] : [null, found[0]?.address, found[0]?.family];
    } catch (error) {
      result = [error as NodeJS.ErrnoException];
    }
    // outside of this promise: what the callback throws is the program's own affair
    process.nextTick(done, ...result);
  }

  async function lookupPromise(hostname: string, given?: number | LookupOptions): Promise<unknown> {
    const options = typeof given === 'number' ? { family: given } : (given ?? {});
    const found = await find(hostname, options);
    return options.all === true ? found : found[0];
  }

  dns.lookup = lookup as unknown as typeof dns.lookup;
  dns.promises.lookup = lookupPromise as unknown as typeof dns.promises.lookup;
}

/** Names in the order in which a resolver tries them. */
export function candidates(name: string, search: readonly string[]): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)];
  const inDomains = search.map((domain) => `${name}.${domain}`);
  const dots = name.split('.').length - 1;
  return dots >= NDOTS ? [name, ...inDomains] : [...inDomains, name];
}

async function addresses(
  resolver: dns.promises.Resolver,
  name: string,
  family: number,
): Promise<Address[]> {
  const wanted = family === 0 ? [4, 6] : [family];
  const results = await Promise.allSettled(
    wanted.map(async (version) => {
      const found = version === 4 ? await resolver.resolve4(name) : await resolver.resolve6(name);
      return found.map((address) => ({ address, family: version }));
    }),
  );
  const found = results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  if (found.length > 0) return found;
  const [first] = results;
  throw first?.status === 'rejected' ? first.reason : new Error(`No addresses for ${name}`);
}

/** The error that `dns.lookup` gives. */
function lookupError(hostname: string, cause: unknown): Error {
  const reason = (cause as NodeJS.ErrnoException).code;
  const code = reason === 'ENOTFOUND' || reason === 'ENODATA' ? 'ENOTFOUND' : 'EAI_AGAIN';
  const error = new Error(`getaddrinfo ${code} ${hostname}`, { cause });
  return Object.assign(error, {
    code,
    errno: code === 'ENOTFOUND' ? -3008 : -3001,
    syscall: 'getaddrinfo',
    hostname,
  });
}
