// The rules and routes of one pod, kept as they were set: applied in one nft transaction, read back, compared when the kernel
// says that something changed, put back when they differ. Called by netns.ts. Invariant: what is taken for "as set" is what
// the kernel showed right after we set it, and only if that had every rule we had asked for.

import { createHash } from 'node:crypto';
import { closeSync } from 'node:fs';
import type { RepairReason } from './capture.ts';
import { CommandError, runInside } from './commands.ts';
import {
  LIST_TABLE,
  RULES_VERSION,
  type RuleState,
  routeBatch,
  routeRemovalBatch,
  ruleCounts,
  ruleset,
  rulesetRemoval,
  SHOW_ROUTES,
  SHOW_RULE,
  versionOf,
} from './rules.ts';
import { inNetns, type Netns, openChangeSocket, somethingCame } from './syscalls.ts';

/** The kernel tells of every change; that it told of none is not relied upon for ever. */
const LOOK_WITHOUT_CHANGE_EVERY = 30;

/** What the kernel shows of ours; `undefined`: nothing. */
type Shown = { readonly rules: string | undefined; readonly routes: string };

export class PodRules {
  readonly #netns: Netns;
  readonly #families: readonly (4 | 6)[];
  #watch: { readonly nft: number; readonly routes: number } | undefined;
  #set: { readonly state: RuleState; readonly shown: Shown } | undefined;
  #quietLooks = 0;

  constructor(netns: Netns, families: readonly (4 | 6)[]) {
    this.#netns = netns;
    this.#families = families;
  }

  /** @throws CommandError */
  async apply(state: RuleState): Promise<void> {
    // nothing is taken for set until it was seen
    this.#set = undefined;
    if (state.kind === 'capturing') await this.#applyRoutes();
    await runInside(this.#netns, 'nft', ['-f', '-'], ruleset(state));
    // from here on changes are somebody else's: told now, or seen in what is read back
    this.#changed();
    const table = await this.#list();
    const counted = table === undefined ? 'none' : countsIn(table);
    if (counted !== ruleCounts(state)) {
      throw new CommandError(
        `nft took the rules, but shows others at once (${counted} instead of ${ruleCounts(state)}): another program changes table ambit`,
        false,
      );
    }
    this.#set = { state, shown: { rules: print(table), routes: await this.#showRoutes() } };
  }

  /**
   * What differed from what was set, and is as it was set again; undefined when nothing did. Rules of a newer agent's are
   * left alone. Without a change told by the kernel no program is run. @throws CommandError when it cannot be put back
   */
  async verify(): Promise<RepairReason | undefined> {
    const { state, shown } = this.#set ?? {};
    if (state === undefined || shown === undefined) return undefined;
    const changed = this.#changed();
    if (!changed && ++this.#quietLooks < LOOK_WITHOUT_CHANGE_EVERY) return undefined;
    this.#quietLooks = 0;
    const table = await this.#list();
    if (table !== undefined && versionOf(chainsIn(table)) > RULES_VERSION) return undefined;
    const rules = table === undefined ? undefined : print(table);
    const reason = difference(shown, { rules, routes: await this.#showRoutes() });
    if (reason !== undefined) await this.apply(state);
    return reason;
  }

  /** @throws CommandError */
  async remove(): Promise<void> {
    this.#set = undefined;
    await runInside(this.#netns, 'nft', ['-f', '-'], rulesetRemoval());
    for (const family of this.#families) {
      // -force: what is not there any more needs no removing
      const args = [`-${family}`, '-force', '-batch', '-'];
      await runInside(this.#netns, 'ip', args, routeRemovalBatch(family)).catch(() => '');
    }
  }

  close(): void {
    const watch = this.#watch;
    this.#watch = undefined;
    this.#set = undefined;
    if (watch === undefined) return;
    closeSync(watch.nft);
    closeSync(watch.routes);
  }

  async #applyRoutes(): Promise<void> {
    for (const family of this.#families) {
      const shown = await runInside(this.#netns, 'ip', [`-${family}`, ...SHOW_RULE]);
      const batch = routeBatch(family, shown);
      await runInside(this.#netns, 'ip', [`-${family}`, '-batch', '-'], batch);
    }
  }

  /** The table as nft's JSON; undefined when it is not there. */
  async #list(): Promise<NftList | undefined> {
    try {
      return JSON.parse(await runInside(this.#netns, 'nft', ['-j', ...LIST_TABLE])) as NftList;
    } catch (error) {
      if (error instanceof CommandError && !error.missing) return undefined;
      throw error;
    }
  }

  async #showRoutes(): Promise<string> {
    const shown: string[] = [];
    for (const family of this.#families) {
      // -force: a table nobody ever wrote to cannot be listed
      const args = [`-${family}`, '-force', '-batch', '-'];
      const lines = `${SHOW_RULE.join(' ')}\n${SHOW_ROUTES.join(' ')}\n`;
      shown.push(await runInside(this.#netns, 'ip', args, lines).catch(() => ''));
    }
    return shown.join('\n');
  }

  /** Whether the kernel told of a change since the last call; true the first time, when nobody listened. */
  #changed(): boolean {
    if (this.#watch === undefined) {
      this.#watch = inNetns(this.#netns, () => {
        const nft = openChangeSocket('nft');
        try {
          return { nft, routes: openChangeSocket('routes') };
        } catch (error) {
          closeSync(nft);
          throw error;
        }
      });
      return true;
    }
    const nft = somethingCame(this.#watch.nft);
    const routes = somethingCame(this.#watch.routes);
    return nft || routes;
  }
}

type NftList = { readonly nftables: readonly Record<string, Record<string, unknown>>[] };

function chainsIn({ nftables }: NftList): string[] {
  return nftables.flatMap(({ chain }) => (chain === undefined ? [] : [String(chain['name'])]));
}

function countsIn({ nftables }: NftList): string {
  const counts = new Map<string, number>();
  for (const { chain, rule } of nftables) {
    if (chain !== undefined) counts.set(String(chain['name']), 0);
    const name = rule?.['chain'];
    if (name !== undefined) counts.set(String(name), (counts.get(String(name)) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => `${name} ${count}`).join(', ');
}

/** Handles are given anew with each transaction, and the tool's version is none of the rules'. */
function print(table: NftList | undefined): string | undefined {
  if (table === undefined) return undefined;
  const text = JSON.stringify(
    table.nftables.filter((item) => !('metainfo' in item)),
    (key, value) => (key === 'handle' ? undefined : (value as unknown)),
  );
  return createHash('sha256').update(text).digest('base64url');
}

function difference(set: Shown, found: Shown): RepairReason | undefined {
  if (found.rules === undefined) return 'rules-missing';
  if (found.rules !== set.rules) return 'rules-changed';
  return found.routes === set.routes ? undefined : 'routes-changed';
}
