// WATCH: the stream of changes after a revision, with bookmarks. A watcher that does not read is cut off.

import { randomInt } from 'node:crypto';
import type { Timer } from '../../../runtime/clock.ts';
import { asVersion, type Cluster } from '../cluster.ts';
import { type StatusError, tooLargeVersion, tooOldVersion } from '../errors.ts';
import { apiVersionOf } from '../kinds.ts';
import type { KubeObject } from '../object.ts';
import { bucketOf } from '../registry.ts';
import type { Change } from '../store.ts';
import { contentTypeOf, type Form } from './accept.ts';
import { type Exchange, shape } from './exchange.ts';
import { badListOptions, parseRevision, type Selection, selects, wholeNumber } from './read.ts';

/** Unsent bytes a watcher may have; then it is cut off and lists again. */
const MAX_BACKLOG_BYTES = 16 * 1024 * 1024;
/** How often a quiet watcher hears of the present revision, so that it can resume from there. */
const BOOKMARK_INTERVAL_MS = 30_000;
/** A watch without a wish ends after this long, spread so that clients do not all return at once. */
const DEFAULT_TIMEOUT_SECONDS = { min: 1_800, max: 3_600 };
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

type Start = { readonly initial: boolean; readonly after: number; readonly marksEnd: boolean };

export function serveWatch(
  cluster: Cluster,
  exchange: Exchange,
  selection: Selection,
  form: Form,
): Promise<void> {
  const query = exchange.url.searchParams;
  const start = whereToStart(cluster, selection, query);
  const bookmarks = isTrue(query.get('allowWatchBookmarks'));
  const seconds =
    wholeNumber(query.get('timeoutSeconds'), 'timeoutSeconds') ||
    randomInt(DEFAULT_TIMEOUT_SECONDS.min, DEFAULT_TIMEOUT_SECONDS.max);
  const { response } = exchange;
  response.writeHead(200, {
    'Content-Type':
      form.as === 'object'
        ? contentTypeOf('json')
        : `application/json;as=${form.as};v=${form.version};g=meta.k8s.io`,
    'Cache-Control': 'no-cache, private',
  });
  response.flushHeaders();
  const watcher = new Watcher(cluster, exchange, selection, form);
  const bucket = bucketOf(selection.kind);
  if (start.initial) watcher.initial(cluster.store.list(bucket)?.items ?? []);
  else
    for (const change of cluster.store.changesSince(bucket, start.after) ?? [])
      watcher.change(change);
  if (start.marksEnd) watcher.bookmark(true);

  return new Promise((resolve) => {
    let bookmarkTimer: Timer | undefined;
    const unsubscribe = cluster.store.subscribe(bucket, (change) => watcher.change(change));
    const end = (): void => {
      unsubscribe();
      bookmarkTimer?.cancel();
      timeout.cancel();
      exchange.signal.removeEventListener('abort', end);
      response.off('close', end);
      response.end();
      resolve();
    };
    const timeout = cluster.clock.timer(seconds * 1000, end);
    const scheduleBookmark = (): void => {
      bookmarkTimer = cluster.clock.timer(BOOKMARK_INTERVAL_MS, () => {
        watcher.bookmark(false);
        scheduleBookmark();
      });
    };
    if (bookmarks) scheduleBookmark();
    exchange.signal.addEventListener('abort', end, { once: true });
    response.once('close', end);
    if (exchange.signal.aborted || response.destroyed) end();
  });
}

function whereToStart(cluster: Cluster, selection: Selection, query: URLSearchParams): Start {
  const text = query.get('resourceVersion') ?? '';
  const revision = parseRevision(text);
  const match = query.get('resourceVersionMatch') ?? '';
  const sendInitial = query.get('sendInitialEvents');
  if (sendInitial === null && match !== '') {
    throw badListOptions(
      'resourceVersionMatch',
      'Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
    );
  }
  if (sendInitial !== null && match !== 'NotOlderThan') {
    throw badListOptions(
      'resourceVersionMatch',
      'Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
    );
  }
  const { store } = cluster;
  if (revision > store.revision) throw tooLargeVersion(revision, store.revision);
  if (isTrue(sendInitial)) {
    return {
      initial: true,
      after: store.revision,
      marksEnd: isTrue(query.get('allowWatchBookmarks')),
    };
  }
  if (sendInitial === null && (text === '' || text === '0')) {
    return { initial: true, after: store.revision, marksEnd: false };
  }
  if (text === '' || text === '0')
    return { initial: false, after: store.revision, marksEnd: false };
  const bucket = bucketOf(selection.kind);
  if (store.changesSince(bucket, revision) === undefined) {
    throw tooOldVersion(revision, store.oldest(bucket));
  }
  return { initial: false, after: revision, marksEnd: false };
}

/** Turns changes into events and writes them. */
class Watcher {
  readonly #cluster: Cluster;
  readonly #exchange: Exchange;
  readonly #selection: Selection;
  readonly #form: Form;

  constructor(cluster: Cluster, exchange: Exchange, selection: Selection, form: Form) {
    this.#cluster = cluster;
    this.#exchange = exchange;
    this.#selection = selection;
    this.#form = form;
  }

  initial(objects: readonly KubeObject[]): void {
    for (const object of objects) if (selects(this.#selection, object)) this.#send('ADDED', object);
  }

  change({ type, object, old }: Change): void {
    const was = old !== undefined && selects(this.#selection, old);
    const is = type !== 'DELETED' && selects(this.#selection, object);
    if (is) this.#send(was ? 'MODIFIED' : 'ADDED', object);
    else if (was && type === 'DELETED') this.#send('DELETED', object);
    else if (was && old !== undefined) {
      // it left the selection: the old object, at the revision of its leaving
      const { resourceVersion } = object.metadata;
      const metadata = {
        ...old.metadata,
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      };
      this.#send('DELETED', { ...old, metadata });
    }
  }

  bookmark(endsInitial: boolean): void {
    const { kind } = this.#selection;
    const metadata = {
      resourceVersion: String(this.#cluster.store.revision),
      creationTimestamp: null,
      ...(endsInitial ? { annotations: { [INITIAL_EVENTS_END]: 'true' } } : {}),
    };
    const object: KubeObject = { kind: kind.kind, apiVersion: apiVersionOf(kind), metadata };
    this.#write({
      type: 'BOOKMARK',
      object: this.#form.as === 'Table' ? this.#shaped(object) : object,
    });
  }

  #send(type: string, stored: KubeObject): void {
    const object = asVersion(stored, this.#selection.kind);
    this.#write({ type, object: this.#shaped(object) });
  }

  #shaped(object: KubeObject): unknown {
    return shape(this.#exchange, [object], this.#selection.kind, this.#form, undefined);
  }

  #write(event: unknown): void {
    const { response } = this.#exchange;
    if (response.destroyed || response.writableEnded) return;
    response.write(`${JSON.stringify(event)}\n`);
    if (response.writableLength > MAX_BACKLOG_BYTES) {
      this.#cluster.log.warn('closed a watch whose reader is too slow', {
        path: this.#exchange.request.url,
        backlogBytes: response.writableLength,
      });
      response.destroy();
    }
  }
}

export function isTrue(text: string | null): boolean {
  return text === 'true' || text === '1';
}

export function asWatchError(error: StatusError): string {
  return `${JSON.stringify({ type: 'ERROR', object: error.toStatus() })}\n`;
}
