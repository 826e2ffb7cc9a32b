import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fieldValue, quantity } from './downward.ts';

const pod = {
  metadata: {
    name: 'web',
    namespace: 'demo',
    uid: 'u1',
    labels: { b: 'x"y', a: '1' },
    annotations: { 'example.com/k': 'v' },
  },
  spec: { containers: [] },
};
const facts = {
  podIps: ['10.0.0.5', 'fd00::5'],
  hostIps: [],
  nodeName: 'node-1',
  capacity: { cpu: 1, memoryBytes: 1 },
};

describe('fieldValue()', () => {
  for (const [path, value] of [
    ['metadata.name', 'web'],
    ["metadata.labels['a']", '1'],
    ["metadata.annotations['example.com/k']", 'v'],
    ["metadata.labels['none']", ''],
    ['metadata.labels', 'a="1"\nb="x\\"y"'],
    ['status.podIPs', '10.0.0.5,fd00::5'],
    ['status.hostIP', ''],
    ['spec.serviceAccountName', 'default'],
  ] as const) {
    test(`${path} is ${JSON.stringify(value)}`, () =>
      assert.equal(fieldValue(path, pod, facts), value));
  }

  for (const path of ['spec.containers', 'constructor', '']) {
    test(`"${path}" is refused`, () =>
      assert.throws(() => fieldValue(path, pod, facts), RangeError));
  }
});

describe('quantity()', () => {
  for (const [text, value] of [
    ['500m', 0.5],
    ['64Mi', 64 * 2 ** 20],
    ['1e3', 1000],
    ['1.5G', 1.5e9],
    ['2', 2],
  ] as const) {
    test(`${text} is ${value}`, () => assert.equal(quantity(text), value));
  }

  for (const text of ['', 'm', '1Xi', '1 Gi', '--1']) {
    test(`"${text}" is refused`, () => assert.throws(() => quantity(text), RangeError));
  }
});
