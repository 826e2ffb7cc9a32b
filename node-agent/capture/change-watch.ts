// Asks the kernel whether nft rules, or routes, of a namespace have changed since the last time. Called by pod-rules.ts and
// probe-bypass.ts: a look while nothing changes is a read that finds nothing, and no program.

import { closeSync } from 'node:fs';
import { inNetns, type Netns, openChangeSocket, somethingCame } from './syscalls.ts';

/** The kernel tells of every change; that it told of none is not relied upon for ever. */
const QUIET_LOOKS = 30;

export class ChangeWatch {
  readonly #netns: Netns;
  readonly #kinds: readonly ('nft' | 'routes')[];
  #sockets: readonly number[] | undefined;
  #quietLooks = 0;

  constructor(netns: Netns, kinds: readonly ('nft' | 'routes')[]) {
    this.#netns = netns;
    this.#kinds = kinds;
  }

  /** True also the first time, when nobody listened before, and once after many quiet looks. @throws SyscallError */
  changed(): boolean {
    if (this.#sockets === undefined) {
      this.#sockets = this.#open();
      return true;
    }
    // each has to be read, whatever the others say
    const came = this.#sockets.filter(somethingCame).length > 0;
    this.#quietLooks = came || this.#quietLooks === QUIET_LOOKS ? 0 : this.#quietLooks + 1;
    return this.#quietLooks === 0;
  }

  close(): void {
    for (const fd of this.#sockets ?? []) closeSync(fd);
    this.#sockets = undefined;
  }

  #open(): number[] {
    const opened: number[] = [];
    try {
      inNetns(this.#netns, () => {
        for (const kind of this.#kinds) opened.push(openChangeSocket(kind));
      });
      return opened;
    } catch (error) {
      for (const fd of opened) closeSync(fd);
      throw error;
    }
  }
}
