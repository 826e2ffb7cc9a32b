// What a rule's filters make of a request: another request, an answer of our own, or edits of the answer to come. Called by
// serve.ts with the rule's filters, then with the chosen backend's. A decision without I/O. Invariant: a filter that cannot
// be applied ends the request.

import { corsDecision } from '../../mesh/cors.ts';
import { editRequestHeaders, redirectLocation, rewriteRequest } from '../../mesh/edit-request.ts';
import { HttpFailure } from '../../mesh/http-failures.ts';
import type { HeaderList, HttpRequest } from '../../mesh/http-request.ts';
import type { Matched } from '../../mesh/match-route.ts';
import type { BackendTarget, ExternalAuth, HeaderEdit, RouteFilter } from '../../mesh/route.ts';
import { isMirrored } from '../../mesh/split.ts';

/** Who must be asked before anything comes of it, in this order. */
type Asks = { readonly ask: readonly ExternalAuth[] };

export type Filtered =
  | ({
      readonly kind: 'forward';
      readonly request: HttpRequest;
      /** True once the path is a filter's and no longer the client's. */
      readonly pathEdited: boolean;
      readonly answerEdits: readonly HeaderEdit[];
      readonly mirrors: readonly {
        readonly target: BackendTarget;
        readonly request: HttpRequest;
      }[];
    } & Asks)
  | ({ readonly kind: 'answer'; readonly status: number; readonly headers: HeaderList } & Asks);

/** @throws HttpFailure FILTER_BROKEN */
export function applyFilters(
  request: HttpRequest,
  filters: readonly RouteFilter[],
  how: { readonly matched: Matched; readonly port: number; readonly random: () => number },
): Filtered {
  let present = request;
  let pathEdited = false;
  const answerEdits: HeaderEdit[] = [];
  const ask: ExternalAuth[] = [];
  const mirrors: { target: BackendTarget; request: HttpRequest }[] = [];
  for (const filter of filters) {
    switch (filter.kind) {
      case 'request-headers':
        present = editRequestHeaders(present, filter);
        break;
      case 'response-headers':
        answerEdits.push(filter);
        break;
      case 'rewrite':
        present = rewriteRequest(present, filter, how.matched);
        pathEdited ||= filter.path !== undefined;
        break;
      case 'redirect': {
        const location = redirectLocation(present, filter, how.matched, how.port);
        return { kind: 'answer', status: filter.status, headers: [['location', location]], ask };
      }
      case 'cors': {
        const decision = corsDecision(filter, present);
        if (decision.kind === 'preflight') {
          return { kind: 'answer', status: decision.status, headers: decision.headers, ask };
        }
        if (decision.kind === 'response') answerEdits.push(decision.edit);
        break;
      }
      case 'mirror':
        if (isMirrored(filter, how.random)) {
          mirrors.push({ target: filter.target, request: present });
        }
        break;
      case 'external-auth':
        ask.push(filter);
        break;
      case 'broken':
        throw new HttpFailure(
          'FILTER_BROKEN',
          `A filter of the route cannot be applied: ${filter.why}`,
        );
    }
  }
  return { kind: 'forward', request: present, pathEdited, answerEdits, mirrors, ask };
}
