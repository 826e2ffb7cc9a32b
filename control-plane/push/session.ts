// What one proxy has and still needs: delta discovery without a socket. connection.ts feeds it requests and asks for the
// next response. Only names are kept while the proxy is slow: what is sent is always the newest, and only of types it
// asked for.

import {
  type DeltaRequest,
  type DeltaResponse,
  type Resource,
  TYPE_ADDRESS,
  TYPE_AUTHORIZATION,
  TYPE_ENROLMENT,
} from '../../wire/discovery.ts';
import { TYPE_LISTENERS } from '../../wire/listeners-resource.ts';
import { type Publication, type StoredResource, TYPES, type TypeUrl } from '../store.ts';

/** What came of a request, for the log. */
export type Receipt =
  | { readonly kind: 'subscribed'; readonly typeUrl: TypeUrl; readonly resumed: number }
  | { readonly kind: 'ack'; readonly typeUrl: TypeUrl }
  | { readonly kind: 'nack'; readonly typeUrl: TypeUrl; readonly message: string }
  | { readonly kind: 'ignored'; readonly reason: string };

type TypeState = {
  /** What the agent has, or will have once it has read what was sent. */
  readonly sent: Map<string, string>;
  /** Names to look at for the next response. */
  dirty: Set<string>;
  /** The answer we wait for: no more than one response of a type is on its way. */
  awaiting: { readonly nonce: string; readonly version: number } | undefined;
  /** The first response is sent even if it is empty: the agent waits to know that there is nothing. */
  answered: boolean;
  /** The newest publication the agent has acknowledged completely. */
  acked: number;
  rejected: string | undefined;
};

// A response is read whole by the agent before it is applied: parts of this size keep both sides' memory flat.
const MAX_RESPONSE_BYTES = 2 * 1024 * 1024;

export class Session {
  readonly #node: string | undefined;
  readonly #gateway: string | undefined;
  readonly #types = new Map<TypeUrl, TypeState>();
  #publication: Publication;
  #nonce = 0;

  /** `node`: whose pods' enrolments it gets, `gateway`: whose listeners; undefined: nobody's. */
  constructor(
    parts: { readonly publication: Publication },
    settings: { readonly node: string | undefined; readonly gateway?: string | undefined },
  ) {
    this.#publication = parts.publication;
    this.#node = settings.node;
    this.#gateway = settings.gateway;
  }

  publish(publication: Publication): void {
    this.#publication = publication;
    for (const [type, state] of this.#types) {
      for (const name of publication.changed.get(type) ?? []) state.dirty.add(name);
      this.#settle(type, state);
    }
  }

  receive(request: DeltaRequest): Receipt {
    const typeUrl = TYPES.find((type) => type === request.typeUrl);
    if (typeUrl === undefined) {
      return { kind: 'ignored', reason: `type "${request.typeUrl}" is not known here` };
    }
    const state = this.#types.get(typeUrl);
    if (state === undefined) return this.#subscribe(typeUrl, request);
    if (state.awaiting === undefined || request.nonce !== state.awaiting.nonce) {
      return { kind: 'ignored', reason: `nonce "${request.nonce}" is not the one awaited` };
    }
    const { version } = state.awaiting;
    state.awaiting = undefined;
    state.rejected = request.error?.message;
    if (request.error !== undefined) {
      // what the agent refused it will refuse again: it gets the resource when that has changed
      return { kind: 'nack', typeUrl, message: request.error.message };
    }
    if (state.dirty.size === 0) state.acked = version;
    this.#settle(typeUrl, state);
    return { kind: 'ack', typeUrl };
  }

  /** The next response to send, undefined when the agent has everything or must answer first. */
  next(): DeltaResponse | undefined {
    for (const type of TYPES) {
      const state = this.#types.get(type);
      if (state === undefined || (state.answered && state.dirty.size === 0)) continue;
      // later types wait: they may refer to what this one has still to bring
      if (state.awaiting !== undefined) return undefined;
      const response = this.#respond(type, state);
      if (response !== undefined) return response;
    }
    return undefined;
  }

  /**
   * A policy goes only after the workloads that named it: an agent refuses connections to a workload whose policy it does
   * not know. (It comes before them, by the order of types.)
   */
  #mustKeep(type: TypeUrl): boolean {
    if (type !== TYPE_AUTHORIZATION) return false;
    const addresses = this.#types.get(TYPE_ADDRESS);
    return (
      addresses === undefined ||
      !addresses.answered ||
      addresses.awaiting !== undefined ||
      addresses.dirty.size > 0
    );
  }

  /** The newest version of which the agent has everything of that type; 0 for none. */
  acked(type: TypeUrl): number {
    return this.#types.get(type)?.acked ?? 0;
  }

  /** All that is published of the types it asked for is acknowledged; false before it asked for any. */
  get inSync(): boolean {
    const { version } = this.#publication;
    const states = [...this.#types.values()];
    return (
      states.length > 0 &&
      states.every(({ acked, rejected }) => acked === version && rejected === undefined)
    );
  }

  #subscribe(typeUrl: TypeUrl, request: DeltaRequest): Receipt {
    const state: TypeState = {
      sent: new Map(request.initialVersions),
      dirty: new Set(request.initialVersions.keys()),
      awaiting: undefined,
      answered: false,
      acked: 0,
      rejected: undefined,
    };
    for (const name of this.#resources(typeUrl).keys()) state.dirty.add(name);
    this.#types.set(typeUrl, state);
    return { kind: 'subscribed', typeUrl, resumed: request.initialVersions.size };
  }

  #respond(type: TypeUrl, state: TypeState): DeltaResponse | undefined {
    const resources: Resource[] = [];
    const removed: string[] = [];
    let bytes = 0;
    const keeps = this.#mustKeep(type);
    for (const name of state.dirty) {
      if (bytes >= MAX_RESPONSE_BYTES) break;
      const resource = this.#visible(type, name);
      if (resource === undefined && keeps && state.sent.has(name)) continue;
      state.dirty.delete(name);
      if (resource === undefined) {
        if (!state.sent.delete(name)) continue;
        removed.push(name);
      } else {
        if (state.sent.get(name) === resource.version) continue;
        state.sent.set(name, resource.version);
        resources.push(resource);
        bytes += resource.body.length;
      }
      bytes += name.length;
    }
    if (state.answered && resources.length === 0 && removed.length === 0) {
      this.#settle(type, state);
      return undefined;
    }
    state.answered = true;
    const nonce = String(++this.#nonce);
    const { version } = this.#publication;
    state.awaiting = { nonce, version };
    return { systemVersion: String(version), typeUrl: type, resources, removed, nonce };
  }

  /** An agent that needs nothing of a new version has acknowledged it as it is. */
  #settle(type: TypeUrl, state: TypeState): void {
    for (const name of state.dirty) {
      if (this.#visible(type, name)?.version === state.sent.get(name)) state.dirty.delete(name);
    }
    const done = state.answered && state.awaiting === undefined && state.dirty.size === 0;
    if (done) state.acked = this.#publication.version;
  }

  #resources(type: TypeUrl): ReadonlyMap<string, StoredResource> {
    return this.#publication.resources.get(type) ?? new Map();
  }

  #visible(type: TypeUrl, name: string): StoredResource | undefined {
    const resource = this.#resources(type).get(name);
    const isOwn = this.#node !== undefined && resource?.node === this.#node;
    if (type === TYPE_ENROLMENT && !isOwn) return undefined;
    const isOfOwnGateway = this.#gateway !== undefined && resource?.gateway === this.#gateway;
    // private keys are in it
    if (type === TYPE_LISTENERS && !isOfOwnGateway) return undefined;
    return resource;
  }
}
