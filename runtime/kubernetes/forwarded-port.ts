// A TCP port of a pod as one Duplex, over the three loose streams the Kubernetes library wants. Made by kubeconfig.ts.
// The protocol has no half-close: ending our side is not told, the pod ending its side ends the reading.

import { Duplex, PassThrough, Writable } from 'node:stream';

export class ForwardedPort extends Duplex {
  /** What the library reads and sends to the pod. */
  readonly toPod = new PassThrough();
  /** Where the library writes what the pod sent. */
  readonly fromPod: Writable;
  /** Where it writes what the kubelet says is wrong. */
  readonly errors: Writable;
  /** Set while the reader wants no more: continues taking from the library. */
  #resume: (() => void) | undefined;
  #hangUp: (() => void) | undefined;

  constructor(settings: { readonly target: string }) {
    super();
    // a failure between connecting and handing over has nobody to hear it yet; it stays readable as `errored`
    this.on('error', () => {});
    this.fromPod = new Writable({
      write: (chunk: Buffer, _, done) => {
        if (this.push(chunk)) done();
        else this.#resume = done;
      },
      final: (done) => {
        this.push(null);
        done();
      },
    });
    this.errors = new Writable({
      write: (text: Buffer, _, done) => {
        // each channel's first message is only its port number, and arrives here empty
        if (text.length > 0) {
          this.destroy(new Error(`Cannot forward ${settings.target}: ${text.toString().trim()}`));
        }
        done();
      },
    });
  }

  /** `hangUp` closes the connection to the API server. */
  connected(hangUp: () => void): void {
    this.#hangUp = hangUp;
    if (this.destroyed) hangUp();
  }

  /** The connection to the API server is gone. */
  disconnected(): void {
    this.fromPod.end();
    this.toPod.destroy();
  }

  override _read(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.toPod.destroyed) done(new Error('Cannot write: the pod has closed the connection'));
    else if (this.toPod.write(chunk)) done();
    else this.toPod.once('drain', () => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.toPod.destroy();
    this.#hangUp?.();
    done(error);
  }
}
