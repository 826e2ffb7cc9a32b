// Requests and connections that policy let in and that are still open: judged again whenever policy changes, and cut when
// it forbids them now. Held by guard.ts. Invariant: nothing is asked of anybody again; whoever was asked has said yes.

import { authorizeBytes } from '../../mesh/authorize-bytes.ts';
import { authorizeRequest } from '../../mesh/authorize-request.ts';
import { MeshError } from '../../mesh/failures.ts';
import { HttpFailure } from '../../mesh/http-failures.ts';
import type { HttpRequest } from '../../mesh/http-request.ts';
import type { PolicyPlace } from '../../mesh/policy-target.ts';
import type { VerifiedToken } from '../../mesh/request-authentication.ts';
import type { ConditionEvaluator } from '../../mesh/request-match.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import type { Log } from '../../runtime/log.ts';
import { nameOf } from '../asked.ts';
import type { Asked, Inbound } from '../inbound.ts';
import type { BodyPeek } from './body-peek.ts';
import { destinationOf, type Guarded, NO_ADDRESS, questionOf, serverNameOf } from './question.ts';

export type OpenStreamParts = {
  readonly log: Log;
  readonly placeOf: (asked: Asked) => PolicyPlace;
  readonly evaluate: ConditionEvaluator;
};

export type OpenRequest = {
  readonly admitted: {
    readonly request: HttpRequest;
    readonly token: VerifiedToken | undefined;
    readonly body: BodyPeek;
  };
  readonly exchange: Guarded;
};

type OpenBytes = { readonly inbound: Inbound; readonly cut: (why: MeshError) => void };
type Judgement = { readonly verdict: 'allow' | 'deny' | 'ask'; readonly reason: string };

const ALLOWED: Judgement = { verdict: 'allow', reason: 'no policy holds' };

export class OpenStreams {
  readonly #parts: OpenStreamParts;
  readonly #requests = new Set<OpenRequest>();
  readonly #bytes = new Set<OpenBytes>();

  constructor(parts: OpenStreamParts) {
    this.#parts = parts;
  }

  /** `judge`: policy has changed since it was let in. @throws HttpFailure POLICY_DENIED */
  holdRequest(open: OpenRequest, snapshot: Snapshot, judge: boolean): Disposable {
    const { verdict, reason } = judge ? this.#judgeRequest(open, snapshot) : ALLOWED;
    if (verdict === 'deny') throw new HttpFailure('POLICY_DENIED', reason);
    this.#requests.add(open);
    return { [Symbol.dispose]: () => void this.#requests.delete(open) };
  }

  /** @throws MeshError POLICY_DENIED */
  holdBytes(open: OpenBytes, snapshot: Snapshot): () => void {
    const { verdict, reason } = this.#judgeBytes(open.inbound, snapshot);
    if (verdict !== 'allow') {
      const to = nameOf(open.inbound.asked);
      throw new MeshError('POLICY_DENIED', `Cannot carry bytes to ${to}: ${reason}`);
    }
    this.#bytes.add(open);
    return () => void this.#bytes.delete(open);
  }

  /** After each change of policy. */
  judgeAgain(snapshot: Snapshot): void {
    for (const { inbound, cut } of this.#bytes) {
      const { verdict, reason } = this.#judgeBytes(inbound, snapshot);
      if (verdict === 'allow') continue;
      const to = nameOf(inbound.asked);
      cut(new MeshError('POLICY_CHANGED', `Cannot go on carrying bytes to ${to}: ${reason}`));
    }
    for (const open of this.#requests) {
      const { verdict, reason } = this.#judgeRequest(open, snapshot);
      if (verdict !== 'deny') continue;
      const to = nameOf(open.exchange.inbound.asked);
      this.#parts.log.warn('Cut a request that policy came to forbid', { to, reason });
      open.exchange.reset();
    }
  }

  #judgeRequest({ admitted, exchange }: OpenRequest, snapshot: Snapshot): Judgement {
    const { inbound } = exchange;
    const policies = snapshot.httpPoliciesAt(this.#parts.placeOf(inbound.asked));
    if (policies.length === 0) return ALLOWED;
    if (destinationOf(inbound) === undefined) return { verdict: 'deny', reason: NO_ADDRESS };
    const { facts } = questionOf(admitted, exchange, admitted.body);
    const passed = new Set(
      policies.flatMap((one) => (one.action === 'custom' ? one.provider.name : [])),
    );
    return authorizeRequest(policies, facts, { evaluate: this.#parts.evaluate, passed });
  }

  #judgeBytes(inbound: Inbound, snapshot: Snapshot): Judgement {
    const { asked, source } = inbound;
    const policies = snapshot.httpPoliciesAt(this.#parts.placeOf(asked));
    if (policies.length === 0) return ALLOWED;
    const destination = destinationOf(inbound);
    if (destination === undefined) return { verdict: 'deny', reason: NO_ADDRESS };
    return authorizeBytes(policies, { source, destination, sni: serverNameOf(asked) });
  }
}
