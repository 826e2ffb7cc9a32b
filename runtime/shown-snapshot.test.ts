import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ResourceUpdate } from '../mesh/resource-update.ts';
import { emptySnapshot } from '../mesh/snapshot.ts';
import { ANY_POLICY, ANY_SERVICE, ANY_WORKLOAD } from '../mesh/test-arbitraries.ts';
import { SavedSnapshotError } from './saved-snapshot.ts';
import { decodeShown, encodeShown } from './shown-snapshot.ts';

const ANY_UPDATES: fc.Arbitrary<ResourceUpdate[]> = fc.array(
  fc.oneof(
    ANY_WORKLOAD.map((workload): ResourceUpdate => ({ kind: 'workload', workload })),
    ANY_SERVICE.map((service): ResourceUpdate => ({ kind: 'service', service })),
    ANY_POLICY.map((policy): ResourceUpdate => ({ kind: 'policy', policy })),
  ),
  { maxLength: 12 },
);

test('a snapshot is shown as it is: workloads, services and policies', () => {
  fc.assert(
    fc.property(ANY_UPDATES, (updates) => {
      const snapshot = emptySnapshot.apply(updates);
      const read = decodeShown(encodeShown(snapshot, 0));
      const sorted = (values: Iterable<object>): object[] =>
        [...values].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
      assert.deepEqual(sorted(read.workloads()), sorted(snapshot.workloads()));
      assert.deepEqual(sorted(read.services()), sorted(snapshot.services()));
      assert.deepEqual(sorted(read.policies()), sorted(snapshot.policies()));
    }),
  );
});

test('bytes that are no shown snapshot end in the documented error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.throws(() => decodeShown(Buffer.from(bytes)), SavedSnapshotError);
    }),
  );
});
