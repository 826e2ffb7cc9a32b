import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Mode } from '../../mesh/namespace.ts';
import { emptySnapshot } from '../../mesh/snapshot.ts';
import type { SandboxNetwork } from '../../wire/nri.ts';
import { enrolmentOf } from '../test-support/world.ts';
import { decideAdmission } from './decide.ts';

const OWN: SandboxNetwork = { kind: 'own', path: '/var/run/netns/x' };
const pod = (label?: string, network: SandboxNetwork = OWN) => ({
  uid: 'uid-web',
  namespace: 'shop',
  labels: label === undefined ? {} : { 'ambit-mesh.io/mode': label },
  network,
});
const knowing = (mode: Mode) =>
  emptySnapshot.apply([{ kind: 'namespace', namespace: { name: 'shop', mode } }]);

describe('decideAdmission()', () => {
  for (const [namespace, label, kind] of [
    ['ambient', undefined, 'wanted'],
    ['ambient', 'none', 'outside'],
    ['none', undefined, 'outside'],
    ['unset', 'ambient', 'wanted'],
  ] as const) {
    test(`namespace ${namespace}, pod ${label ?? 'without label'}: ${kind}`, () =>
      assert.equal(decideAdmission(pod(label), knowing(namespace)).kind, kind));
  }

  test("a pod on the node's own network is outside, whatever its labels say", () =>
    assert.equal(
      decideAdmission(pod('ambient', { kind: 'host' }), knowing('ambient')).kind,
      'outside',
    ));

  test('an enrolment that has come decides, for the control plane knows most', () => {
    const web = enrolmentOf({ name: 'web', uid: 'uid-web', addresses: [] });
    const snapshot = emptySnapshot.apply([{ kind: 'enrolment', enrolment: web }]);
    assert.equal(decideAdmission(pod(), snapshot).kind, 'wanted');
  });

  test('without a word of its namespace only its own label decides', () => {
    assert.equal(decideAdmission(pod(), emptySnapshot).kind, 'undecided');
    assert.equal(decideAdmission(pod('none'), emptySnapshot).kind, 'outside');
    assert.equal(decideAdmission(pod('ambient'), emptySnapshot).kind, 'wanted');
  });
});
