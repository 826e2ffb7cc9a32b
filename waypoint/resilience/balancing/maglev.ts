// Maglev (Eisenbud et al., NSDI 2016, section 3.4): a table in which each candidate has an even share of the entries, by
// its own order of preference. A look-up is one index; a candidate that goes moves little more than its own requests.

import type { Endpoint } from '../../../mesh/balance.ts';
import type { Balancer } from './balancer.ts';
import { hash32, rehash } from './hash.ts';
import { type Member, TableCache } from './table-cache.ts';

/** Prime, and the field's usual size: a hundred entries each for some six hundred endpoints. */
export const MAGLEV_TABLE_SIZE = 65_537;

// a request whose endpoints are to be avoided looks at so many others before it takes the first that is left
const MAX_REHASHES = 32;
const EMPTY = -1;

type Table = { readonly entries: Int32Array; readonly uids: readonly string[] };

export function maglev(otherwise: Balancer): Balancer {
  const tables = new TableCache(tableOf);
  return {
    pick(candidates, request) {
      const { hash, avoid } = request;
      if (hash === undefined) return otherwise.pick(candidates, request);
      const uid = ownerOf(tables.for(candidates), hash, avoid);
      return candidates.find((candidate: Endpoint) => candidate.workload.uid === uid);
    },
  };
}

function tableOf(all: readonly Member[]): Table {
  // more would leave some without an entry in any case
  const members = all.slice(0, MAGLEV_TABLE_SIZE);
  const entries = new Int32Array(MAGLEV_TABLE_SIZE).fill(EMPTY);
  const most = members.reduce((high, { weight }) => Math.max(high, weight), 0);
  const orders = members.map(({ uid, weight }) => ({
    at: hash32(uid) % MAGLEV_TABLE_SIZE,
    skip: (hash32(uid, 1) % (MAGLEV_TABLE_SIZE - 1)) + 1,
    /** Of the rounds it takes part in: the heaviest in all of them. */
    share: weight / most,
    credit: 0,
  }));
  for (let filled = 0; filled < MAGLEV_TABLE_SIZE && orders.length > 0; ) {
    for (const [index, order] of orders.entries()) {
      order.credit += order.share;
      if (order.credit < 1) continue;
      order.credit -= 1;
      while (entries[order.at] !== EMPTY) order.at = (order.at + order.skip) % MAGLEV_TABLE_SIZE;
      entries[order.at] = index;
      filled++;
      if (filled === MAGLEV_TABLE_SIZE) break;
    }
  }
  return { entries, uids: members.map(({ uid }) => uid) };
}

function ownerOf(
  { entries, uids }: Table,
  hash: number,
  avoid: ReadonlySet<string>,
): string | undefined {
  for (let round = 0; round <= MAX_REHASHES; round++) {
    const at = round === 0 ? hash : rehash(hash, round);
    const uid = uids[entries[at % MAGLEV_TABLE_SIZE] ?? EMPTY];
    if (uid !== undefined && !avoid.has(uid)) return uid;
    if (avoid.size === 0) break;
  }
  return uids.find((uid) => !avoid.has(uid));
}
