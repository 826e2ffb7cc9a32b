// What becomes of one parentRef of a route: the parents it stands for, or why it has none. Made by service-parents.ts and
// gateway-parents.ts, thinned by conflicts.ts.

import type { RouteParent } from '../../../mesh/route.ts';
import type { ParentReference } from '../../../runtime/kubernetes/route-objects.ts';
import type { Facet } from './backends.ts';
import type { RouteSource } from './route-objects.ts';

export type Refusal = {
  readonly reason:
    | 'NoMatchingParent'
    | 'NotAllowedByListeners'
    | 'NoMatchingListenerHostname'
    | 'UnsupportedValue'
    | 'IncompatibleFilters'
    | 'Conflicted';
  readonly message: string;
};

export type Attachment = {
  readonly source: RouteSource;
  /** As it stands in the object: its status says it back. */
  readonly ref: ParentReference;
  readonly facet: Facet;
  /** None when it is refused. */
  readonly parents: readonly RouteParent[];
  readonly refusal: Refusal | undefined;
  /** What of it does not hold although the rest does. */
  readonly notes: readonly string[];
  /** Who applies the route for this parent; undefined: that is told elsewhere. */
  readonly programmed: { readonly by: string | undefined } | undefined;
};

export type Place = Pick<Attachment, 'source' | 'ref' | 'facet'>;

export function refused(place: Place, reason: Refusal['reason'], message: string): Attachment {
  return {
    ...place,
    parents: [],
    refusal: { reason, message },
    notes: [],
    programmed: undefined,
  };
}
