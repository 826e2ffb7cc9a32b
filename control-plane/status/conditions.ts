// Writes what became of users' objects into their `status.conditions`, by server-side apply, so that conditions of others
// stay as they are. Called by app.ts after each translation with everything there is to say; paced-writer.ts says when.

import { isDeepStrictEqual } from 'node:util';
import { KubeError } from '../../runtime/kubernetes/client.ts';
import type { Condition, KubeObject } from '../../runtime/kubernetes/objects.ts';
import { apiVersionOf } from '../../runtime/kubernetes/resources.ts';
import type { Log } from '../../runtime/log.ts';
import type { Finding, Outcome, PartOutcome } from '../translate/outcome.ts';

export type ConditionWriterParts = {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly isLeader: () => boolean;
  /** Told of each write: of which kind of object, and what came of it. */
  readonly count: (kind: string, result: WriteResult) => void;
};
export type WriteResult = 'written' | 'gone' | 'refused' | 'failed';

type Conditioned = { readonly conditions?: readonly Condition[] };
type WithStatus = KubeObject & {
  readonly status?: Readonly<Record<string, unknown>> & Conditioned;
};
/** A member of a list of status that has conditions of its own. */
type StatusPart = Readonly<Record<string, unknown>> & Conditioned & { readonly name: string };

type Entry = {
  readonly outcome: Outcome;
  /** What we made of the object last; undefined while we have written nothing. */
  readonly written: Written | undefined;
};
type Written = {
  readonly status: NonNullable<WithStatus['status']>;
  /** The status as it was sent, to tell whether there is anything new to say. */
  readonly text: string;
  /** The version we wrote upon: an informer that still shows it is behind us. */
  readonly over: string | undefined;
  /** On the monotonic clock. */
  readonly at: number;
};

const FIELD_MANAGER = 'ambit-control-plane';

export class ConditionWriter extends PacedWriter<Outcome, WrittenConditions> {
  constructor(parts: StatusWriterParts) {
    super(parts, writingOf(parts));
  }
}

  /** Everything that is to be said, replacing what was said before; objects left out are left as they are. */
  wish(outcomes: readonly Outcome[]): void {
    const before = this.#entries;
    this.#entries = new Map();
    this.#waiting.clear();
    for (const outcome of outcomes) {
      const uid = outcome.object.metadata.uid ?? '';
      const entry = { outcome, written: before.get(uid)?.written };
      this.#entries.set(uid, entry);
      if (this.#isNews(entry)) this.#waiting.add(uid);
    }
    this.#wake();
  }

  /** Stops writing and waits for the write that is under way. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('The condition writer stops'));
    await this.#running;
  }

  #wake(): void {
    const idle = this.#waiting.size === 0 || this.#stop.signal.aborted || !this.#parts.isLeader();
    if (idle || this.#running !== undefined) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      this.#wake();
    });
  }

  #isNews({ outcome, written }: Entry): boolean {
    const object: WithStatus = outcome.object;
    const text = textOf(outcome);
    if (written?.text === text && object.metadata.resourceVersion === written.over) return false;
    const present = object.status ?? {};
    const { generation } = object.metadata;
    return !(
      outcome.findings.every((finding) => holds(finding, present, generation)) &&
      holdsFields(outcome.fields ?? {}, present) &&
      Object.entries(outcome.parts ?? {}).every(([name, parts]) =>
        holdsParts(parts, partsIn(present, name), generation),
      )
    );
  }

  async #run(): Promise<void> {
    const { clock, isLeader } = this.#parts;
    const retry = backoff(RETRY);
    const pause = (ms: number): Promise<void> => clock.sleep(ms, this.#stop.signal).catch(() => {});
    while (!this.#stop.signal.aborted && isLeader()) {
      const now = clock.monotonic();
      const due = this.#next(now);
      if (due === undefined) return;
      if (due.waitMs > 0) {
        await pause(due.waitMs);
        continue;
      }
      this.#waiting.delete(due.uid);
      // what is awaited may have been written meanwhile, under the same words
      if (!this.#isNews(due.entry)) continue;
      const done = await this.#write(due.uid, due.entry);
      if (done) retry.reset();
      // a wish that came meanwhile has put it on the list again, or taken the object away
      else if (this.#entries.has(due.uid)) this.#waiting.add(due.uid);
      await pause(done ? WRITE_GAP_MS : retry.next());
    }
  }

  /** The first object that may be written now, or how long until one may. */
  #next(now: number): { uid: string; entry: Entry; waitMs: number } | undefined {
    let soonest: { uid: string; entry: Entry; waitMs: number } | undefined;
    for (const uid of this.#waiting) {
      const entry = this.#entries.get(uid);
      if (entry === undefined) continue;
      const waitMs = Math.max(0, (entry.written?.at ?? -SAME_OBJECT_MS) + SAME_OBJECT_MS - now);
      if (soonest === undefined || waitMs < soonest.waitMs) soonest = { uid, entry, waitMs };
      if (waitMs === 0) break;
    }
    return soonest;
  }

  /** False when it has to be tried again. */
  async #write(uid: string, { outcome, written }: Entry): Promise<boolean> {
    const { client, clock, log, count } = this.#parts;
    const { resource, object } = outcome;
    const { name = '', namespace } = object.metadata;
    const known = written?.status ?? (object as WithStatus).status ?? {};
    const now = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
    const status = statusOf(outcome, known, now);
    const body: WithStatus = {
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      // the UID makes the write fail when the object was made anew meanwhile
      metadata: { name, uid, ...(namespace === undefined ? {} : { namespace }) },
      status,
    };
    try {
      await client.apply(resource, body, {
        fieldManager: FIELD_MANAGER,
        force: true,
        subresource: 'status',
      });
    } catch (error) {
      const status = error instanceof KubeError ? error.status : 0;
      const gone = status === 404 || status === 409;
      const refused = status === 400 || status === 422;
      count(resource.kind, gone ? 'gone' : refused ? 'refused' : 'failed');
      // gone or made anew: there is nothing to tell any more
      if (gone) return true;
      log.warn('Cannot write the status of an object', {
        object: `${resource.kind} ${namespace}/${name}`,
        // the same words would be refused again: others must not wait for them
        next: refused ? 'waiting until there is something else to say' : 'trying again',
        error,
      });
      return refused;
    }
    count(resource.kind, 'written');
    const entry = this.#entries.get(uid);
    if (entry !== undefined) {
      const over = object.metadata.resourceVersion;
      const at = clock.monotonic();
      const text = textOf(outcome);
      this.#entries.set(uid, { ...entry, written: { status, text, over, at } });
    }
    return true;
  }
}

/** Only the kinds of our own have a place for the generation besides the one in each condition. */
const OWN_GROUP = /(^|\.)ambit-mesh\.io$/;

function statusOf(
  { resource, object, findings, fields, parts = {} }: Outcome,
  known: NonNullable<WithStatus['status']>,
  now: string,
): NonNullable<WithStatus['status']> {
  const { generation } = object.metadata;
  const stamped = (all: readonly Finding[], before: readonly Condition[] = []): Condition[] =>
    all.map((finding) => conditionOf(finding, before, generation, now));
  const lists = Object.entries(parts).map(([name, members]) => [
    name,
    members.map((member) => {
      const before = partsIn(known, name).find((part) => part.name === member.name);
      const conditions = stamped(member.findings, before?.conditions);
      return { ...member.fields, name: member.name, conditions };
    }),
  ]);
  return {
    ...fields,
    ...Object.fromEntries(lists),
    ...(generation === undefined || !OWN_GROUP.test(resource.group)
      ? {}
      : { observedGeneration: generation }),
    conditions: stamped(findings, known.conditions),
  };
}

function partsIn(status: Readonly<Record<string, unknown>>, name: string): readonly StatusPart[] {
  return (status[name] ?? []) as readonly StatusPart[];
}

/** Whether a status, or a part of it, says so already. */
function holds(
  finding: Finding,
  { conditions = [] }: Conditioned,
  generation: number | undefined,
): boolean {
  const present = conditions.find(({ type }) => type === finding.type);
  return (
    present !== undefined &&
    present.status === finding.status &&
    present.reason === finding.reason &&
    present.message === cut(finding.message) &&
    present.observedGeneration === generation
  );
}

function holdsFields(
  fields: Readonly<Record<string, unknown>>,
  present: Readonly<Record<string, unknown>>,
): boolean {
  return Object.entries(fields).every(
    // an API server gives keys back in its own order
    ([name, value]) => isDeepStrictEqual(present[name], value),
  );
}

function holdsParts(
  parts: readonly PartOutcome[],
  present: readonly StatusPart[],
  generation: number | undefined,
): boolean {
  return (
    parts.length === present.length &&
    parts.every(({ name, findings, fields }) => {
      const part = present.find((one) => one.name === name);
      return (
        part !== undefined &&
        findings.every((finding) => holds(finding, part, generation)) &&
        holdsFields(fields, part)
      );
    })
  );
}

function conditionOf(
  { type, status, reason, message }: Finding,
  known: readonly Condition[],
  generation: number | undefined,
  now: string,
): Condition {
  const before = known.find((condition) => condition.type === type);
  // the time tells when the status became what it is; another message alone does not move it
  const since = before?.status === status ? before.lastTransitionTime : undefined;
  return {
    type,
    status,
    reason,
    message: cut(message),
    lastTransitionTime: since ?? now,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
  };
}

function textOf({ object, findings, fields, parts }: Outcome): string {
  return JSON.stringify([object.metadata.generation, findings, fields, parts]);
}
