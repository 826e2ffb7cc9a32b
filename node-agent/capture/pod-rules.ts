// The rules and routes of one pod, kept as they were set: applied in one nft transaction, read back, compared when the kernel
// says that something changed, put back when they differ. Called by netns.ts. Invariant: what is taken for "as set" is what
// the kernel showed right after we set it, and only if that had every rule we had asked for.

import { isDeepStrictEqual } from 'node:util';
import type { RepairReason } from './capture.ts';
import { ChangeWatch } from './change-watch.ts';
import { CommandError, runInside } from './commands.ts';
import { listTable, type NftTable } from './nft-list.ts';
import {
  RULES_VERSION,
  type RuleState,
  routeBatch,
  routeRemovalBatch,
  ruleCounts,
  ruleset,
  rulesetRemoval,
  SHOW_ROUTES,
  SHOW_RULE,
  TABLE,
  versionOf,
} from './rules.ts';
import type { Netns } from './syscalls.ts';

/** What the kernel shows of ours; `undefined`: nothing. */
type Shown = { readonly rules: string | undefined; readonly routes: string };

export class PodRules {
  readonly #netns: Netns;
  readonly #families: readonly (4 | 6)[];
  readonly #watch: ChangeWatch;
  #set: { readonly state: RuleState; readonly shown: Shown } | undefined;

  constructor(netns: Netns, families: readonly (4 | 6)[]) {
    this.#netns = netns;
    this.#families = families;
    this.#watch = new ChangeWatch(netns, ['nft', 'routes']);
  }

  /** @throws CommandError */
  async apply(state: RuleState): Promise<void> {
    if (isDeepStrictEqual(state, this.#set?.state)) await this.verify();
    else await this.#put(state);
  }

  async #put(state: RuleState): Promise<void> {
    // nothing is taken for set until it was seen
    this.#set = undefined;
    if (state.kind === 'capturing') await this.#applyRoutes();
    await runInside(this.#netns, 'nft', ['-f', '-'], ruleset(state));
    // from here on changes are somebody else's: told now, or seen in what is read back
    this.#watch.changed();
    const table = await listTable(this.#netns, TABLE);
    const counted = countsOf(table);
    if (counted !== ruleCounts(state)) {
      throw new CommandError(
        `nft took the rules, but shows others at once (${counted} instead of ${ruleCounts(state)}): another program changes table ambit`,
        false,
      );
    }
    this.#set = { state, shown: { rules: table?.print, routes: await this.#showRoutes() } };
  }

  /**
   * What differed from what was set, and is as it was set again; undefined when nothing did. Rules of a newer agent's are
   * left alone. Without a change told by the kernel no program is run. @throws CommandError when it cannot be put back
   */
  async verify(): Promise<RepairReason | undefined> {
    if (this.#set === undefined || !this.#watch.changed()) return undefined;
    const { state, shown } = this.#set;
    // until it was looked at, nobody knows: a look that fails must not pass for one that found nothing
    this.#set = undefined;
    const table = await listTable(this.#netns, TABLE);
    const routes = await this.#showRoutes();
    const newer = table !== undefined && versionOf(table.chains) > RULES_VERSION;
    const reason = newer ? undefined : difference(shown, { rules: table?.print, routes });
    if (reason === undefined) this.#set = { state, shown };
    else await this.#put(state);
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
    this.#set = undefined;
    this.#watch.close();
  }

  async #applyRoutes(): Promise<void> {
    for (const family of this.#families) {
      const shown = await runInside(this.#netns, 'ip', [`-${family}`, ...SHOW_RULE]);
      const batch = routeBatch(family, shown);
      await runInside(this.#netns, 'ip', [`-${family}`, '-batch', '-'], batch);
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
}

function countsOf(table: NftTable | undefined): string {
  if (table === undefined) return 'none';
  return [...table.counts].map(([name, count]) => `${name} ${count}`).join(', ');
}

function difference(set: Shown, found: Shown): RepairReason | undefined {
  if (found.rules === undefined) return 'rules-missing';
  if (found.rules !== set.rules) return 'rules-changed';
  return found.routes === set.routes ? undefined : 'routes-changed';
}
