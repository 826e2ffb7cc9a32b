// TLS to backends whose BackendTLSPolicy asks for it: the backend's own, inside of the tunnel to it if there is one. Called
// by endpoints.ts and opaque.ts with a way that is open. Invariant: where TLS is asked for no byte goes without it, and none
// before the backend has shown a certificate that its policy takes.

import { once } from 'node:events';
import { Socket } from 'node:net';
import { checkServerIdentity, connect, createSecureContext, type SecureContext } from 'node:tls';
import type { IpPort } from '../../mesh/address.ts';
import type { BackendTls, BackendTlsTerms } from '../../mesh/backend-tls.ts';
import { MeshError } from '../../mesh/failures.ts';
import { type Service, serviceKey } from '../../mesh/service.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import type { Clock } from '../../runtime/clock.ts';
import { ignoreError } from '../../tunnel/socket.ts';
import type { Leg } from '../../tunnel/splice.ts';
import { StreamSocket } from '../http/stream-socket.ts';
import { certificateFault } from './backend-certificate.ts';

/** As long as any peer of the mesh has for its own. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

type Verified = Extract<BackendTlsTerms, { kind: 'verify' }>;

export type SecuredLeg = Leg & {
  /** What was agreed upon in the handshake; undefined: nothing. */
  readonly protocol: string | undefined;
};

export class BackendSecurity {
  readonly #parts: { readonly clock: Clock; readonly snapshot: () => Snapshot };
  /** Reading a bundle of roots costs more than a handshake. */
  readonly #contexts = new WeakMap<BackendTls, SecureContext>();

  constructor(parts: { readonly clock: Clock; readonly snapshot: () => Snapshot }) {
    this.#parts = parts;
  }

  /** undefined: bytes go there as they are. */
  tlsFor(service: Service | undefined, port: number | undefined): BackendTls | undefined {
    if (service === undefined || port === undefined) return undefined;
    return this.#parts.snapshot().backendTlsOf(serviceKey(service), port);
  }

  /**
   * Owns `leg` from now on. `protocols` are offered, the best first.
   * @throws MeshError TLS_FAILURE, or `signal.reason`
   */
  async secure(
    leg: Leg,
    to: IpPort,
    tls: BackendTls,
    protocols: readonly string[],
    signal?: AbortSignal,
  ): Promise<SecuredLeg> {
    const { terms, service } = tls;
    if (terms.kind === 'broken') {
      leg.reset();
      throw new MeshError('TLS_FAILURE', `Cannot speak TLS to ${service}: ${terms.why}`);
    }
    const secured = connect({
      // a kernel's socket is taken as it is, everything else has to look like one
      socket: leg.bytes instanceof Socket ? leg.bytes : (new StreamSocket(leg, to) as never),
      secureContext: this.#contextFor(tls, terms),
      servername: terms.serverName,
      checkServerIdentity: (_, certificate) =>
        certificateFault(certificate, terms, checkServerIdentity),
      ...(protocols.length === 0 ? {} : { ALPNProtocols: [...protocols] }),
    });
    secured.on('error', ignoreError);
    const stop = new AbortController();
    const late = this.#parts.clock.timer(HANDSHAKE_TIMEOUT_MS, () =>
      stop.abort(new Error(`no handshake within ${HANDSHAKE_TIMEOUT_MS / 1000} s`)),
    );
    const onClose = (): void => stop.abort(new Error('it was cut'));
    secured.once('close', onClose);
    const until = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    try {
      await once(secured, 'secureConnect', { signal: until });
    } catch (cause) {
      secured.destroy();
      if (signal?.aborted === true) throw signal.reason;
      const why = stop.signal.aborted ? stop.signal.reason : cause;
      const text = why instanceof Error ? why.message : String(why);
      throw new MeshError('TLS_FAILURE', `Cannot speak TLS to ${service}: ${text}`, { cause });
    } finally {
      late.cancel();
      secured.off('close', onClose);
    }
    return {
      bytes: secured,
      // the way under it goes with it; to reset that first would leave Node's TLS with a handle that is gone
      reset: () => void secured.destroy(),
      protocol: secured.alpnProtocol || undefined,
    };
  }

  #contextFor(tls: BackendTls, { roots }: Verified): SecureContext {
    const known = this.#contexts.get(tls);
    if (known !== undefined) return known;
    const made = createSecureContext({
      minVersion: 'TLSv1.2',
      ...(roots === undefined ? {} : { ca: roots }),
    });
    this.#contexts.set(tls, made);
    return made;
  }
}
