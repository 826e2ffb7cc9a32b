// A proxy's end of discovery: keeps a connection to the control plane and the newest Snapshot, for ever. Used by the
// node agent and waypoints. While the control plane is away everything known is kept; on return only differences travel.

import { readFile } from 'node:fs/promises';
import { type ClientOptions, WebSocket } from 'ws';
import type { EnrolmentReport } from '../mesh/enrolment.ts';
import type { Identity } from '../mesh/identity.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import type { TrustReport } from '../mesh/trust.ts';
import {
  type DeltaRequest,
  decodeServerFrame,
  encodeClientFrame,
  type ServerFrame,
} from '../wire/discovery.ts';
import { backoff } from './backoff.ts';
import type { Clock, Timer } from './clock.ts';
import { DiscoveryRecord, type Termination } from './discovery-metrics.ts';
import { DiscoveryState, EMPTY_REQUEST } from './discovery-state.ts';
import type { Log } from './log.ts';
import { expectIdentity } from './peer-identity.ts';
import { Reports } from './reports.ts';
import type { SnapshotStore } from './snapshot-store.ts';

export type DiscoveryParts = {
  readonly clock: Clock;
  readonly log: Log;
  /** Where what is known outlives the process; closed with the client. */
  readonly store?: SnapshotStore | undefined;
};
export type DiscoverySettings = {
  /** `host:port` of the control plane. */
  readonly address: string;
  /** PEM; read again at each connection. */
  readonly rootCertFile: string;
  /** Projected ServiceAccount token; read again at each connection. */
  readonly tokenFile: string;
  readonly serverIdentity: Identity;
  readonly clusterId: string;
  /** What is asked for: AGENT_TYPES or WAYPOINT_TYPES of discovery-state.ts; the former where it does not say. */
  readonly types?: readonly string[];
  /** Who we are, for the control plane's log and status: `<component>~<pod>~<node>`, say. */
  readonly nodeId: string;
  /** `<component>/<version>`. */
  readonly userAgent: string;
};

export interface DiscoveryClient {
  /** The newest of all that is known; empty before the first response. */
  snapshot(): Snapshot;
  /** Called after each change, with the new snapshot. */
  subscribe(listener: (snapshot: Snapshot) => void): () => void;
  /** Tells what became of a pod's enrolment; never lost, told again on each new connection. */
  report(report: EnrolmentReport): void;
  /** PEM: our own trust domain's roots as discovery told; empty before it did. */
  roots(): readonly string[];
  /** Tells what this agent believes; the newest is told again on each new connection. */
  reportTrust(report: TrustReport): void;
  /** Resolves once there is a snapshot to work from: told by the control plane, or kept on disk. Rejects if closed before. */
  readonly synced: Promise<void>;
  /** Resolves once the control plane itself has told every type; rejects if closed before. */
  readonly live: Promise<void>;
  readonly record: DiscoveryRecord;
  /** How often what is known could not be kept on disk. */
  saveFailures(): number;
  readonly connected: boolean;
  close(): Promise<void>;
}

const PATH = '/v1/discovery';
// A control plane that is there answers sooner; one that is not should not hold up a node that knows enough.
const LIVE_WAIT_MS = 2000;
// The reference client's pace, a little gentler at the start.
const RETRY = { initialMs: 50, maxMs: 15_000 } as const;
// The reference's connect timeout.
const CONNECT_TIMEOUT_MS = 5000;
// The control plane pings every 15 s; three missed ones mean that it is gone.
const SILENCE_MS = 45_000;
// A connection that lived this long was good: the next attempt starts at once.
const GOOD_CONNECTION_MS = 5000;
// The control plane sends parts of some MiB; the reference's limit for a message is 200 MiB.
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

export function createDiscoveryClient(
  parts: DiscoveryParts,
  settings: DiscoverySettings,
): DiscoveryClient {
  return new Client(parts, settings);
}

/** Why a connection ended, in words and in the reference's. */
type End = { readonly why: string; readonly kind: Termination };

class Client implements DiscoveryClient {
  readonly synced: Promise<void>;
  readonly live: Promise<void>;
  readonly record: DiscoveryRecord;
  readonly #parts: DiscoveryParts;
  readonly #settings: DiscoverySettings;
  readonly #state: DiscoveryState;
  readonly #reports = new Reports();
  #trustReport: TrustReport | undefined;
  readonly #listeners = new Set<(snapshot: Snapshot) => void>();
  readonly #stop = new AbortController();
  readonly #firstSync = Promise.withResolvers<void>();
  readonly #allTold = Promise.withResolvers<void>();
  readonly #running: Promise<void>;
  /** The open connection. */
  #socket: WebSocket | undefined;

  constructor(parts: DiscoveryParts, settings: DiscoverySettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#state = new DiscoveryState({
      keepBodies: parts.store !== undefined,
      ...(settings.types === undefined ? {} : { types: settings.types }),
    });
    this.record = new DiscoveryRecord(parts.clock);
    this.synced = this.#firstSync.promise;
    this.synced.catch(() => {});
    this.live = this.#allTold.promise;
    this.live.catch(() => {});
    this.#running = this.#restore().then(() => this.#run());
  }

  snapshot(): Snapshot {
    return this.#state.snapshot;
  }

  saveFailures(): number {
    return this.#parts.store?.failures ?? 0;
  }

  get connected(): boolean {
    return this.#socket !== undefined;
  }

  subscribe(listener: (snapshot: Snapshot) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  report(report: EnrolmentReport): void {
    if (!this.#reports.add(report)) {
      this.#parts.log.warn('Dropped the oldest enrolment report: too many pods were reported');
    }
    this.#tellReports();
  }

  roots(): readonly string[] {
    const { trustDomain } = this.#settings.serverIdentity;
    const bundles = [...this.#state.snapshot.trustBundles()];
    return bundles.find((bundle) => bundle.trustDomain === trustDomain)?.roots ?? [];
  }

  reportTrust(report: TrustReport): void {
    this.#trustReport = report;
    this.#tellTrust();
  }

  async close(): Promise<void> {
    const reason = new Error('Closed the discovery client');
    this.#stop.abort(reason);
    this.#firstSync.reject(reason);
    this.#allTold.reject(reason);
    await this.#running;
    await this.#parts.store?.close();
  }

  /** What the disk has is used from the start, so that only differences travel; it counts once nobody tells better. */
  async #restore(): Promise<void> {
    const { clock, log, store } = this.#parts;
    const saved = await store?.load();
    if (saved === undefined || this.#stop.signal.aborted) return;
    const resources = this.#state.restore(saved.resources);
    this.record.fromDisk(saved.savedAt);
    log.info('Read the saved snapshot', {
      resources,
      savedAt: new Date(saved.savedAt).toISOString(),
    });
    this.#publish();
    const waited = clock.timer(LIVE_WAIT_MS, () => this.#makeDo());
    void this.synced.catch(() => {}).then(() => waited.cancel());
  }

  /** The control plane does not answer: what the disk had has to do. */
  #makeDo(): void {
    if (this.record.origin !== 'disk') return;
    this.#firstSync.resolve();
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#parts;
    const retry = backoff(RETRY);
    const { address } = this.#settings;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      const started = clock.monotonic();
      let end: End;
      try {
        end = await this.#connectOnce();
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        end = { why, kind: 'ConnectionError' };
      }
      if (this.#stop.signal.aborted) break;
      this.record.ended(end.kind);
      this.#makeDo();
      if (clock.monotonic() - started >= GOOD_CONNECTION_MS) {
        retry.reset();
        failures = 0;
      }
      const pause = retry.next();
      log[failures++ === 0 ? 'warn' : 'debug'](
        'Not connected to the control plane: going on with what is known, and trying again',
        { address, why: end.why, retryMs: Math.round(pause) },
      );
      await clock.sleep(pause, this.#stop.signal).catch(() => {});
    }
  }

  /** Resolves, when the connection has ended, with the reason. */
  async #connectOnce(): Promise<End> {
    const { address, rootCertFile, tokenFile, serverIdentity, userAgent } = this.#settings;
    const [root, token] = await Promise.all([
      readFile(rootCertFile, 'utf8'),
      readFile(tokenFile, 'utf8'),
    ]);
    const options = {
      // what discovery told may be ahead of a mounted file: a root under rotation reaches us here first
      ca: [root, ...this.roots()],
      checkServerIdentity: expectIdentity(serverIdentity),
      headers: { authorization: `Bearer ${token.trim()}`, 'user-agent': userAgent },
      handshakeTimeout: CONNECT_TIMEOUT_MS,
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
    };
    // its types have an old signature of checkServerIdentity; the options go to tls.connect as they are
    const socket = new WebSocket(`wss://${address}${PATH}`, options as unknown as ClientOptions);
    const onStop = (): void => socket.terminate();
    this.#stop.signal.addEventListener('abort', onStop, { once: true });
    if (this.#stop.signal.aborted) socket.terminate();
    try {
      return await this.#follow(socket);
    } finally {
      this.#stop.signal.removeEventListener('abort', onStop);
    }
  }

  #follow(socket: WebSocket): Promise<End> {
    const { clock, log } = this.#parts;
    return new Promise((resolve) => {
      let why = '';
      let kind: Termination = 'ConnectionError';
      let silence: Timer | undefined;
      const heard = (): void => {
        silence?.cancel();
        silence = clock.timer(SILENCE_MS, () => {
          why = `Nothing was heard for ${SILENCE_MS / 1000} s`;
          kind = 'Error';
          socket.terminate();
        });
      };
      socket.on('error', (error) => {
        why ||= error.message;
        if (kind === 'Complete') kind = 'Error';
      });
      socket.on('unexpected-response', (request, response) => {
        const status = `${response.statusCode} ${response.statusMessage}`;
        why = `The control plane answered ${status}`;
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => {
          body = (body + text).slice(0, 500);
        });
        response.on('error', () => {});
        response.once('close', () => {
          if (body !== '') why += `: ${body.trim()}`;
          request.destroy();
          socket.terminate();
        });
      });
      socket.on('open', () => {
        log.info('Connected to the control plane', { address: this.#settings.address });
        this.#socket = socket;
        kind = 'Complete';
        this.#state.reconnected();
        this.#reports.reconnected();
        heard();
        const { nodeId, clusterId } = this.#settings;
        const node = { id: nodeId, cluster: clusterId };
        for (const request of this.#state.openingRequests(node)) this.#send(request);
        this.#tellReports();
        this.#tellTrust();
      });
      socket.on('ping', heard);
      socket.on('message', (data) => {
        heard();
        const problem = this.#receive(data as Buffer);
        if (problem === undefined) return;
        why = problem;
        kind = 'Reconnect';
        socket.close(1007);
      });
      socket.on('close', (code, reason) => {
        silence?.cancel();
        if (this.#socket === socket) this.#socket = undefined;
        // 1000 and 1001 say that the other end is done; 1006 that it never said goodbye
        if (kind === 'Complete' && code !== 1000 && code !== 1001) kind = 'Error';
        resolve({ why: why || `Closed with ${code} ${reason.toString()}`.trim(), kind });
      });
    });
  }

  /** Returns why the connection cannot go on, if so. */
  #receive(bytes: Buffer): string | undefined {
    const { log } = this.#parts;
    let frame: ServerFrame;
    try {
      frame = decodeServerFrame(bytes);
    } catch (error) {
      log.error('Cannot read a discovery message: starting the stream again', {
        bytes: bytes.length,
        error,
      });
      const message = error instanceof Error ? error.message : String(error);
      // its nonce is unknown, and so the control plane would wait for ever: it is told, and asked again anew
      this.#send({ ...EMPTY_REQUEST, error: { code: 3, message } });
      return message;
    }
    this.record.received(frame.response.typeUrl, bytes.length);
    const { answer, rejected, updates } = this.#state.apply(frame.response);
    for (const { name, why } of rejected) {
      log.error('Refused a discovery resource: keeping what was known under its name', {
        typeUrl: frame.response.typeUrl,
        resource: name,
        why,
      });
    }
    log.debug('Applied discovery resources', {
      typeUrl: frame.response.typeUrl,
      version: frame.response.systemVersion,
      updates,
    });
    if (updates > 0) {
      this.#publish();
      this.#parts.store?.changed(() => this.#state.resources());
    }
    this.#send(answer);
    if (this.#state.complete) {
      this.record.live();
      this.#firstSync.resolve();
      this.#allTold.resolve();
    }
    return undefined;
  }

  #publish(): void {
    for (const listener of this.#listeners) {
      try {
        listener(this.#state.snapshot);
      } catch (error) {
        this.#parts.log.error('A listener failed on a new snapshot', { error });
      }
    }
  }

  #tellTrust(): void {
    const socket = this.#socket;
    const report = this.#trustReport;
    if (socket?.readyState !== WebSocket.OPEN || report === undefined) return;
    socket.send(encodeClientFrame({ kind: 'trust-report', report }));
  }

  #tellReports(): void {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    for (const report of this.#reports.untold()) {
      socket.send(encodeClientFrame({ kind: 'report', report }));
    }
  }

  #send(request: DeltaRequest): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(encodeClientFrame({ kind: 'discovery', request }));
  }
}
