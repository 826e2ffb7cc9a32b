// Counts the messages of gRPC that pass in one direction of a stream (gRPC over HTTP/2, "Length-Prefixed-Message"), from the
// bytes as they come. Used by waypoints for metrics. Invariant: nothing is copied or kept but a few numbers, and whatever
// the bytes are, it neither throws nor waits for a message to be whole.

/** A byte that says whether it is compressed, and four of its length. */
const PREFIX_BYTES = 5;

export class GrpcMessageCounter {
  /** Messages whose prefix has come whole. */
  count = 0;
  /** Of the present prefix. */
  #prefixRead = 0;
  #length = 0;
  /** Of the present message, still to come. */
  #left = 0;

  add(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#left > 0) {
        const step = Math.min(this.#left, bytes.length - at);
        this.#left -= step;
        at += step;
      } else {
        this.#prefix(bytes[at] ?? 0);
        at++;
      }
    }
  }

  #prefix(byte: number): void {
    // not a shift: the length has 32 bits
    if (this.#prefixRead > 0) this.#length = this.#length * 256 + byte;
    this.#prefixRead++;
    if (this.#prefixRead < PREFIX_BYTES) return;
    this.count++;
    this.#left = this.#length;
    this.#prefixRead = 0;
    this.#length = 0;
  }
}
