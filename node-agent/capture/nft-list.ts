// What `nft -j list table` prints, as far as we compare it. Called by pod-rules.ts and probe-bypass.ts.

import { createHash } from 'node:crypto';
import { CommandError, runInside } from './commands.ts';
import type { Netns } from './syscalls.ts';

export type NftTable = {
  readonly chains: readonly string[];
  /** Rules of each chain. */
  readonly counts: ReadonlyMap<string, number>;
  /** Elements of each named set, as nft writes them. */
  readonly elements: ReadonlyMap<string, readonly string[]>;
  /** Equal for equal tables: handles, which are given anew with each transaction, do not count. */
  readonly print: string;
};

type Item = Readonly<Record<string, Record<string, unknown>>>;

/** A table that nft cannot show (an owner's, which it prints by half in JSON) is like none that we make. */
const UNREADABLE: NftTable = {
  chains: [],
  counts: new Map(),
  elements: new Map(),
  print: 'unreadable',
};

/** undefined when there is no such table. @throws CommandError when nft is not installed */
export async function listTable(
  netns: Netns,
  table: readonly string[],
): Promise<NftTable | undefined> {
  let text: string;
  try {
    text = await runInside(netns, 'nft', ['-j', 'list', 'table', ...table]);
  } catch (error) {
    if (error instanceof CommandError && !error.missing) return undefined;
    throw error;
  }
  try {
    return readTable((JSON.parse(text) as { readonly nftables: readonly Item[] }).nftables);
  } catch {
    return UNREADABLE;
  }
}

function readTable(items: readonly Item[]): NftTable {
  const counts = new Map<string, number>();
  const elements = new Map<string, readonly string[]>();
  for (const { chain, rule, set } of items) {
    if (chain !== undefined) counts.set(String(chain['name']), 0);
    if (set !== undefined)
      elements.set(String(set['name']), [...((set['elem'] ?? []) as string[])]);
    const name = rule?.['chain'];
    if (name !== undefined) counts.set(String(name), (counts.get(String(name)) ?? 0) + 1);
  }
  const known = items.filter((item) => !('metainfo' in item));
  const text = JSON.stringify(known, (key, value: unknown) =>
    key === 'handle' ? undefined : value,
  );
  return {
    chains: [...counts.keys()],
    counts,
    elements,
    print: createHash('sha256').update(text).digest('base64url'),
  };
}
