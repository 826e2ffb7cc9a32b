// An immutable map that shares what did not change with the map it was made from. The indexes of a Snapshot stand on it:
// one small update to ten thousand entries copies some forty of them, and every reader keeps the version it holds.

const SHARDS = 256;

export class SharedMap<V> {
  static readonly empty: SharedMap<never> = new SharedMap<never>([], 0);

  readonly size: number;
  readonly #shards: readonly (ReadonlyMap<string, V> | undefined)[];

  private constructor(shards: readonly (ReadonlyMap<string, V> | undefined)[], size: number) {
    this.#shards = shards;
    this.size = size;
  }

  get(key: string): V | undefined {
    return this.#shards[shardOf(key)]?.get(key);
  }

  *values(): IterableIterator<V> {
    for (const shard of this.#shards) if (shard !== undefined) yield* shard.values();
  }

  /** Collects changes and makes one new map of them; the cost is that of the shards touched. */
  change(): Change<V> {
    const shards = [...this.#shards];
    const touched = new Map<number, Map<string, V>>();
    let size = this.size;
    const open = (key: string): Map<string, V> => {
      const index = shardOf(key);
      let shard = touched.get(index);
      if (shard === undefined) {
        shard = new Map(shards[index]);
        touched.set(index, shard);
        shards[index] = shard;
      }
      return shard;
    };
    return {
      get: (key) => shards[shardOf(key)]?.get(key),
      set(key, value) {
        const shard = open(key);
        if (!shard.has(key)) size++;
        shard.set(key, value);
      },
      delete(key) {
        if (shards[shardOf(key)]?.has(key) === true && open(key).delete(key)) size--;
      },
      done: () => (touched.size === 0 ? this : new SharedMap<V>(shards, size)),
    };
  }
}

export type Change<V> = {
  get(key: string): V | undefined;
  set(key: string, value: V): void;
  delete(key: string): void;
  done(): SharedMap<V>;
};

/** FNV-1a over the key's code units: cheap, and spreads names that differ only at their end. */
function shardOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash >>> 16) & (SHARDS - 1);
}
