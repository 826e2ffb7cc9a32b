// A text that must never be shown: a private key. Invariant: what prints, logs or encodes the object that holds it shows a
// word in its place; only who asks for it gets it.

export class SecretText {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  toJSON(): string {
    return '(secret)';
  }

  toString(): string {
    return '(secret)';
  }
}
