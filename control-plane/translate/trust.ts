// ConfigMaps -> trust bundles: the CA's own roots, other trust domains' roots, revocation lists. Called by watch/trust.ts.
// Pure but for its memo: what was good stays in force when its source turns bad, so that a slip of an operator neither
// ends trust nor brings revoked certificates back.

import { X509Certificate } from 'node:crypto';
import type { TrustBundle } from '../../mesh/trust.ts';
import type { ConfigMap } from '../../runtime/kubernetes/objects.ts';
import { splitPem } from '../../runtime/trust.ts';
import {
  CRL_KEY,
  CRL_MAP,
  FOREIGN_MAP,
  ROOT_KEY,
  ROOT_MAP,
  type RotationStatus,
} from '../../wire/rotation.ts';
import type { Problem } from '../../wire/status.ts';

export type TrustWorld = {
  readonly roots: ConfigMap | undefined;
  readonly rotation: RotationStatus | undefined;
  readonly crls: ConfigMap | undefined;
  readonly foreign: ConfigMap | undefined;
};

export type TrustSettings = {
  readonly namespace: string;
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
};

/** The last good value of each key of each object. */
export type TrustMemo = Map<string, readonly string[]>;

const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
const CRL = /-----BEGIN X509 CRL-----[A-Za-z0-9+/=\s]+-----END X509 CRL-----/g;

export function trustOf(
  world: TrustWorld,
  settings: TrustSettings,
  memo: TrustMemo,
): { bundles: TrustBundle[]; problems: Problem[] } {
  const { trustDomain, trustDomainAliases } = settings;
  const problems: Problem[] = [];
  const present = new Set<string>();
  const read = (
    map: string,
    key: string,
    text: string,
    parse: (text: string) => string[],
  ): readonly string[] => {
    const place = `${map}/${key}`;
    present.add(place);
    try {
      const value = parse(text);
      memo.set(place, value);
      return value;
    } catch (error) {
      problems.push(unreadable(settings.namespace, map, key, error, memo.has(place)));
      return memo.get(place) ?? [];
    }
  };

  const own = world.roots?.data ?? {};
  /** The CA writes its map again when somebody deletes it: until then what it said holds. */
  const kept = (key: string): readonly string[] => {
    const place = `${ROOT_MAP}/${key}`;
    present.add(place);
    return memo.get(place) ?? [];
  };
  // a CA that starts just now writes it in a moment: until then agents believe what comes with their certificates
  const roots =
    world.roots === undefined
      ? kept(ROOT_KEY)
      : read(ROOT_MAP, ROOT_KEY, own[ROOT_KEY] ?? '', parseRoots);
  const ownCrls =
    world.roots === undefined
      ? kept(CRL_KEY)
      : own[CRL_KEY] === undefined
        ? []
        : read(ROOT_MAP, CRL_KEY, own[CRL_KEY], parseCrls);
  const crls = [
    ...ownCrls,
    ...entries(world.crls).flatMap(([key, text]) => read(CRL_MAP, key, text, parseCrls)),
  ];
  const bundles: TrustBundle[] = [];
  if (roots.length > 0) {
    bundles.push({
      trustDomain,
      roots,
      aliases: trustDomainAliases,
      retiring: world.rotation?.retiring ?? [],
      renewWithinMs: world.rotation?.renewWithinMs ?? 0,
      crls,
    });
  }
  for (const [domain, text] of entries(world.foreign)) {
    const foreign = read(FOREIGN_MAP, domain, text, (pem) => {
      if (!TRUST_DOMAIN.test(domain)) throw new Error('the key is not a trust domain');
      if (domain === trustDomain || trustDomainAliases.includes(domain)) {
        throw new Error("it is this mesh's own trust domain: its roots are the CA's");
      }
      return parseRoots(pem);
    });
    if (foreign.length === 0) continue;
    const bundle = { trustDomain: domain, roots: foreign, aliases: [], retiring: [] };
    bundles.push({ ...bundle, renewWithinMs: 0, crls: [] });
  }
  for (const place of memo.keys()) if (!present.has(place)) memo.delete(place);
  return { bundles, problems };
}

function entries(map: ConfigMap | undefined): [string, string][] {
  return Object.entries(map?.data ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** @throws Error that says what cannot be used as a root */
function parseRoots(pem: string): string[] {
  const roots = splitPem(pem);
  if (roots.length === 0) throw new Error('it holds no certificate');
  for (const root of roots) {
    if (!new X509Certificate(root).ca) throw new Error('it holds a certificate that is not a CA');
  }
  return roots;
}

/** Lists are read by who enforces them; here only what is no list at all is told. */
function parseCrls(text: string): string[] {
  const lists = text.match(CRL) ?? [];
  if (text.trim() !== '' && lists.length !== text.split('-----BEGIN').length - 1) {
    throw new Error('it holds something else than X509 CRL blocks in PEM');
  }
  return lists.map((one) => `${one}\n`);
}

function unreadable(
  namespace: string,
  map: string,
  key: string,
  error: unknown,
  kept: boolean,
): Problem {
  const why = error instanceof Error ? error.message : String(error);
  const state = kept ? 'what it said before stays in force' : 'it has no effect';
  const own = map === ROOT_MAP;
  return {
    object: `ConfigMap ${namespace}/${map}`,
    reason: 'TrustUnreadable',
    message: `Cannot use "${key}": ${why}; ${state}`,
    remedy: own
      ? `The CA writes it: kubectl -n ${namespace} logs deployment/ambit-ca`
      : `Mend it: kubectl -n ${namespace} edit configmap ${map}`,
  };
}
