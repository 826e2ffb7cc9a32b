// Remembers what was made of an object as long as that object, and whatever else went into it, stays the same. Without
// it a change of one pod would cost the translation and encoding of ten thousand. Held by app.ts, one for each use.

export class Memo<T> {
  readonly #known = new WeakMap<object, { readonly key: string; readonly value: T }>();

  /** `key` is everything besides `object` that `make` looks at. Informers replace objects, they never change them. */
  of(object: object, key: string, make: () => T): T {
    const known = this.#known.get(object);
    if (known?.key === key) return known.value;
    const value = make();
    this.#known.set(object, { key, value });
    return value;
  }
}
