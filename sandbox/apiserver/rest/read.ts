// GET of one object and of a list: selectors, pages, and an honest reading of resourceVersion.

import { asVersion, type Cluster, readObject } from '../cluster.ts';
import { badRequest, expired, invalid, notFound, StatusError, tooLargeVersion } from '../errors.ts';
import type { KindDefinition } from '../kinds.ts';
import type { KubeObject, ListMeta } from '../object.ts';
import { bucketOf } from '../registry.ts';
import {
  type FieldSelector,
  type LabelSelector,
  matchesFields,
  matchesLabels,
  parseFieldSelector,
  parseLabelSelector,
} from '../selectors.ts';

export type Selection = {
  readonly kind: KindDefinition;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly labels: LabelSelector;
  readonly fields: FieldSelector;
};

export type Page = { readonly items: readonly KubeObject[]; readonly meta: ListMeta };

/** What a continue token carries: the revision of the first page and the last key sent. */
type Continuation = { readonly revision: number; readonly after: string };

export function selectionOf(
  kind: KindDefinition,
  namespace: string | undefined,
  query: URLSearchParams,
  name?: string,
): Selection {
  return {
    kind,
    namespace,
    name,
    labels: parseLabelSelector(query.get('labelSelector') ?? ''),
    fields: parseFieldSelector(query.get('fieldSelector') ?? '', kind),
  };
}

export function selects(selection: Selection, object: KubeObject): boolean {
  const { metadata } = object;
  return (
    (selection.namespace === undefined || metadata.namespace === selection.namespace) &&
    (selection.name === undefined || metadata.name === selection.name) &&
    matchesLabels(selection.labels, metadata.labels) &&
    matchesFields(selection.fields, object)
  );
}

export function getObject(
  cluster: Cluster,
  kind: KindDefinition,
  namespace: string | undefined,
  name: string,
): KubeObject {
  const object = readObject(cluster, kind, name, namespace);
  if (object === undefined) throw notFound(kind, name);
  return asVersion(object, kind);
}

export function listObjects(cluster: Cluster, selection: Selection, query: URLSearchParams): Page {
  const { kind } = selection;
  const limit = wholeNumber(query.get('limit'), 'limit');
  const token = query.get('continue') ?? '';
  const continuation = token === '' ? undefined : decodeContinue(token);
  const revision = revisionToList(cluster, query, continuation);
  const listing = cluster.store.list(bucketOf(kind), revision);
  if (listing === undefined) throw forgotten(cluster, continuation);
  const chosen = listing.items.filter((object) => selects(selection, object));
  const start =
    continuation === undefined
      ? 0
      : chosen.findIndex((object) => keyText(object) > continuation.after);
  const rest = start === -1 ? [] : chosen.slice(start);
  const items = limit === 0 ? rest : rest.slice(0, limit);
  const last = items.at(-1);
  const more = rest.length - items.length;
  const counted = selection.labels.length === 0 && selection.fields.length === 0;
  return {
    items: items.map((object) => asVersion(object, kind)),
    meta: {
      resourceVersion: String(listing.revision),
      ...(more > 0 && last !== undefined
        ? {
            continue: encodeContinue({ revision: listing.revision, after: keyText(last) }),
            ...(counted ? { remainingItemCount: more } : {}),
          }
        : {}),
    },
  };
}

/** The revision a list is read at: undefined means now. */
function revisionToList(
  cluster: Cluster,
  query: URLSearchParams,
  continuation: Continuation | undefined,
): number | undefined {
  const asked = query.get('resourceVersion') ?? '';
  const match = query.get('resourceVersionMatch') ?? '';
  if (match !== '' && match !== 'Exact' && match !== 'NotOlderThan') {
    throw badListOptions(
      'resourceVersionMatch',
      `Unsupported value: "${match}": supported values: "Exact", "NotOlderThan", ""`,
    );
  }
  if (continuation !== undefined) {
    if (match !== '') {
      throw badListOptions(
        'resourceVersionMatch',
        'Forbidden: resourceVersionMatch is forbidden when continue is provided',
      );
    }
    if (asked !== '' && asked !== '0') {
      throw badRequest('specifying resource version is not allowed when using continue');
    }
    return continuation.revision === -1 ? undefined : continuation.revision;
  }
  if (match !== '' && asked === '') {
    throw badListOptions(
      'resourceVersionMatch',
      'Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided',
    );
  }
  if (match === 'Exact' && asked === '0') {
    throw badListOptions(
      'resourceVersionMatch',
      'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
    );
  }
  const revision = parseRevision(asked);
  if (revision > cluster.store.revision) throw tooLargeVersion(revision, cluster.store.revision);
  if (match === 'Exact') return revision;
  // a page of an unmatched, non-zero version means exactly that version; all else may be newer
  const paged = wholeNumber(query.get('limit'), 'limit') > 0;
  return match === '' && paged && revision > 0 ? revision : undefined;
}

export function parseRevision(text: string): number {
  if (text === '') return 0;
  if (!/^\d+$/.test(text)) {
    throw badListOptions(
      'resourceVersion',
      `Invalid value: ${JSON.stringify(text)}: must be an unsigned integer`,
    );
  }
  return Number(text);
}

export function badListOptions(field: string, message: string): StatusError {
  const error = invalid({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', [
    { field, reason: 'FieldValueInvalid', message },
  ]);
  return new StatusError(400, 'BadRequest', error.message, error.details);
}

function forgotten(cluster: Cluster, continuation: Continuation | undefined): StatusError {
  if (continuation === undefined) {
    return expired('The resourceVersion for the provided list is too old.');
  }
  // a client that does not mind may go on from the same key in the present state
  const inconsistent = encodeContinue({ revision: -1, after: continuation.after });
  return expired(
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
    cluster.store.revision > 0 ? inconsistent : undefined,
  );
}

function keyText(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
}

function encodeContinue(continuation: Continuation): string {
  return Buffer.from(JSON.stringify(continuation)).toString('base64url');
}

function decodeContinue(token: string): Continuation {
  try {
    const value = JSON.parse(Buffer.from(token, 'base64url').toString()) as Partial<Continuation>;
    if (typeof value.revision === 'number' && typeof value.after === 'string') {
      return { revision: value.revision, after: value.after };
    }
  } catch {
    // falls through to the one answer for every malformed token
  }
  throw badRequest('continue key is not valid: start a new list without it');
}

export function wholeNumber(text: string | null, name: string): number {
  if (text === null || text === '') return 0;
  if (!/^\d{1,15}$/.test(text)) {
    throw badRequest(`${name} must be a whole number, not ${JSON.stringify(text)}`);
  }
  return Number(text);
}
