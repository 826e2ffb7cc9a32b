// Creations and deletions of one controller that its own watch has not shown yet. A key is not reconciled until its
// last writes are visible: otherwise a cache that lags behind would make it create the same pods twice.

import type { KubeObject } from './objects.ts';

// a watch that is this late has lost something; then reconciling on old news beats standing still
const FORGET_AFTER_MS = 30_000;

type Expected = {
  readonly uid: string;
  readonly change: 'seen' | 'leaving';
  readonly since: number;
};

export class Expectations {
  readonly #byKey = new Map<string, Map<string, Expected>>();
  readonly #keys = new Map<string, string>();

  /** `seen`: just created. `leaving`: deletion just asked for. */
  expect(key: string, uid: string, change: Expected['change'], now: number): void {
    const expected = this.#byKey.get(key) ?? new Map<string, Expected>();
    expected.set(uid, { uid, change, since: now });
    this.#byKey.set(key, expected);
    this.#keys.set(uid, key);
  }

  /** The key whose expectation this event met, if any. */
  observe(type: 'added' | 'modified' | 'deleted', object: KubeObject): string | undefined {
    const uid = object.metadata.uid ?? '';
    const key = this.#keys.get(uid);
    if (key === undefined) return undefined;
    const expected = this.#byKey.get(key);
    const change = expected?.get(uid)?.change;
    const gone = type === 'deleted' || object.metadata.deletionTimestamp !== undefined;
    if (change === 'leaving' && !gone) return undefined;
    this.#keys.delete(uid);
    expected?.delete(uid);
    if (expected?.size === 0) this.#byKey.delete(key);
    return key;
  }

  /** How long to hold the key back; 0 when everything it did is visible. */
  wait(key: string, now: number): number {
    const expected = this.#byKey.get(key);
    if (expected === undefined) return 0;
    let longest = 0;
    for (const { uid, since } of expected.values()) {
      const left = since + FORGET_AFTER_MS - now;
      if (left > 0) longest = Math.max(longest, left);
      else {
        expected.delete(uid);
        this.#keys.delete(uid);
      }
    }
    if (expected.size === 0) this.#byKey.delete(key);
    return longest;
  }
}
