// What a proxy knows, as bytes for its disk: a line of JSON that says whose it is, then discovery responses as they came
// over the wire. Written and read by snapshot-store.ts. Pure. There are no secrets in it: keys are never part of discovery.
// Invariant: whatever is not exactly what was written for this node and format is refused, never half read.

import { createHash } from 'node:crypto';
import {
  type DeltaResponse,
  decodeServerFrame,
  encodeServerFrame,
  type Resource,
} from '../wire/discovery.ts';

/** Counted up whenever an older reader would misread it. */
const FORMAT = 1;
/** More than any header has. */
const MAX_HEADER_BYTES = 4096;
/** Bytes before each response that say how long it is. */
const LENGTH_BYTES = 4;

/** All resources of each type. */
export type SavedResources = ReadonlyMap<string, readonly Resource[]>;

export type Saved = {
  readonly cluster: string;
  readonly node: string;
  /** Unix milliseconds. */
  readonly savedAt: number;
  readonly resources: SavedResources;
};

export class SavedSnapshotError extends Error {
  override readonly name = 'SavedSnapshotError';
}

export function encodeSaved(saved: Saved): Buffer {
  const frames = [...saved.resources].flatMap(([typeUrl, resources]) => {
    const response: DeltaResponse = {
      systemVersion: '',
      typeUrl,
      resources,
      removed: [],
      nonce: '',
    };
    const frame = encodeServerFrame({ kind: 'discovery', response });
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32BE(frame.length);
    return [length, frame];
  });
  const payload = Buffer.concat(frames);
  const { cluster, node, savedAt } = saved;
  const header = { format: FORMAT, cluster, node, savedAt, sha256: digest(payload) };
  return Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), payload]);
}

/** @throws SavedSnapshotError naming what is wrong */
export function decodeSaved(
  bytes: Buffer,
  expected: { readonly cluster: string; readonly node: string },
): Saved {
  const end = bytes.subarray(0, MAX_HEADER_BYTES).indexOf('\n');
  if (end < 0) throw new SavedSnapshotError('it has no header');
  const { format, cluster, node, savedAt, sha256 } = headerOf(bytes.toString('utf8', 0, end));
  if (format !== FORMAT) throw new SavedSnapshotError(`it is of format ${String(format)}`);
  if (cluster !== expected.cluster || node !== expected.node) {
    throw new SavedSnapshotError(`it is of node "${String(node)}" in cluster "${String(cluster)}"`);
  }
  const payload = bytes.subarray(end + 1);
  if (sha256 !== digest(payload)) throw new SavedSnapshotError('its checksum is wrong');
  if (typeof savedAt !== 'number') throw new SavedSnapshotError('it does not say when it was made');
  return { ...expected, savedAt, resources: resourcesOf(payload) };
}

function headerOf(line: string): Record<string, unknown> {
  try {
    const header: unknown = JSON.parse(line);
    if (typeof header === 'object' && header !== null) return header as Record<string, unknown>;
  } catch {
    // said below
  }
  throw new SavedSnapshotError('its header cannot be read');
}

function resourcesOf(payload: Buffer): SavedResources {
  const all = new Map<string, readonly Resource[]>();
  for (let at = 0; at < payload.length; ) {
    const start = at + LENGTH_BYTES;
    const length = start > payload.length ? Number.NaN : payload.readUInt32BE(at);
    if (!(start + length <= payload.length)) throw new SavedSnapshotError('it is cut off');
    try {
      const { response } = decodeServerFrame(payload.subarray(start, start + length));
      all.set(response.typeUrl, response.resources);
    } catch (cause) {
      throw new SavedSnapshotError('a part of it cannot be read', { cause });
    }
    at = start + length;
  }
  return all;
}

function digest(payload: Buffer): string {
  return createHash('sha256').update(payload).digest('hex');
}
