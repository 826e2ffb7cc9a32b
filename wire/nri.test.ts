import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  decodeConfiguration,
  decodePodEvent,
  decodeRegistration,
  decodeSandboxes,
  decodeSandboxesTaken,
  decodeSubscription,
  encodeConfiguration,
  encodePodEvent,
  encodeRegistration,
  encodeSandboxes,
  encodeSandboxesTaken,
  encodeSubscription,
  eventMask,
  NRI_EVENTS,
  type PodSandbox,
  type SandboxNetwork,
} from './nri.ts';
import { DecodeError } from './protobuf.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const field = (number: number, body: Buffer | string): Buffer =>
  Buffer.concat([
    Buffer.of((number << 3) | 2),
    body.length < 128 ? Buffer.of(body.length) : Buffer.of(body.length | 128, body.length >> 7),
    Buffer.from(body),
  ]);
const join = (...parts: Buffer[]): Buffer => Buffer.concat(parts);

const TEXT = fc.string({ maxLength: 12 });
const MAP = fc.dictionary(TEXT, TEXT, { maxKeys: 4, noNullPrototype: true });
const NETWORK: fc.Arbitrary<SandboxNetwork> = fc.oneof(
  fc.constantFrom({ kind: 'host' } as const, { kind: 'unknown' } as const),
  TEXT.map((path) => ({ kind: 'own', path }) as const),
);
const SANDBOX: fc.Arbitrary<PodSandbox> = fc.record(
  {
    id: TEXT,
    name: TEXT,
    uid: TEXT,
    namespace: TEXT,
    labels: MAP,
    annotations: MAP,
    network: NETWORK,
    pid: fc.integer({ min: 0, max: 4_194_304 }),
    ips: fc.array(fc.ipV4(), { maxLength: 2 }),
  },
  { noNullPrototype: true },
);

/** As a runtime sends it: with fields we do not read (a runtime handler, a control group, a container). */
const RUNTIME_BYTES = join(
  field(
    1,
    join(
      field(1, 'sandbox-1'),
      field(2, 'web'),
      field(3, 'u1'),
      field(4, 'shop'),
      field(5, join(field(1, 'app'), field(2, 'web'))),
      field(6, join(field(1, 'note'), field(2, 'x'))),
      field(7, 'runc'),
      field(
        8,
        join(
          field(3, '/kubepods'),
          field(5, field(1, 'pid')),
          field(5, join(field(1, 'network'), field(2, '/var/run/netns/cni-1'))),
        ),
      ),
      hex('48 2a'),
      field(10, '10.0.0.7'),
      field(10, 'fd00::7'),
    ),
  ),
  field(2, field(1, 'container-1')),
);

describe('a pod as the container runtime tells of it', () => {
  test('has the numbers the interface gives', () =>
    assert.deepEqual(decodePodEvent(RUNTIME_BYTES), {
      id: 'sandbox-1',
      name: 'web',
      uid: 'u1',
      namespace: 'shop',
      labels: { app: 'web' },
      annotations: { note: 'x' },
      network: { kind: 'own', path: '/var/run/netns/cni-1' },
      pid: 42,
      ips: ['10.0.0.7', 'fd00::7'],
    }));

  test('is read back as it was written', () =>
    fc.assert(
      fc.property(SANDBOX, (pod) => assert.deepEqual(decodePodEvent(encodePodEvent(pod)), pod)),
    ));

  test("shares the node's network only when others of its namespaces are listed and that is not", () => {
    const withNamespaces = (...types: string[]): SandboxNetwork =>
      decodePodEvent(field(1, field(8, join(...types.map((type) => field(5, field(1, type)))))))
        .network;
    assert.deepEqual(withNamespaces('pid', 'mount'), { kind: 'host' });
    assert.deepEqual(withNamespaces('pid', 'network'), { kind: 'own', path: '' });
    assert.deepEqual(withNamespaces(), { kind: 'unknown' });
  });

  test('an event without a pod is refused', () =>
    assert.throws(() => decodePodEvent(new Uint8Array()), DecodeError));
});

describe('the messages of registration', () => {
  test('have the numbers the interface gives', () => {
    const registration = { name: 'ambit', index: '10', version: '0.1.0' };
    assert.deepEqual(
      Buffer.from(encodeRegistration(registration)),
      join(field(1, 'ambit'), field(2, '10'), field(3, '0.1.0')),
    );
    assert.deepEqual(decodeRegistration(encodeRegistration(registration)), registration);
    assert.deepEqual(
      decodeConfiguration(join(field(2, 'containerd'), field(3, 'v2.1.0'), hex('28 d0 0f'))),
      { runtimeName: 'containerd', runtimeVersion: 'v2.1.0', requestTimeoutMs: 2000 },
    );
    const configuration = { runtimeName: 'x', runtimeVersion: '1', requestTimeoutMs: 2000 };
    assert.deepEqual(decodeConfiguration(encodeConfiguration(configuration)), configuration);
    const { runPodSandbox, createContainer } = NRI_EVENTS;
    const mask = eventMask([runPodSandbox, createContainer]);
    assert.equal(mask, 0b1001);
    assert.deepEqual(Buffer.from(encodeSubscription(mask)), hex('10 09'));
    assert.equal(decodeSubscription(encodeSubscription(mask)), mask);
  });

  test('sandboxes come in parts, and are taken in parts', () => {
    const part = { pods: [decodePodEvent(RUNTIME_BYTES)], more: true };
    assert.deepEqual(decodeSandboxes(encodeSandboxes(part)), part);
    assert.deepEqual(Buffer.from(encodeSandboxesTaken(true)), hex('10 01'));
    assert.equal(decodeSandboxesTaken(encodeSandboxesTaken(true)), true);
  });

  test('bytes give a message or a DecodeError, whatever they are', () => {
    const readers = [
      decodePodEvent,
      decodeRegistration,
      decodeConfiguration,
      decodeSubscription,
      decodeSandboxes,
      decodeSandboxesTaken,
    ];
    const attempt = (bytes: Uint8Array): void => {
      for (const read of readers) {
        try {
          read(bytes);
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
        }
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), attempt));
    for (let end = 0; end < RUNTIME_BYTES.length; end++) attempt(RUNTIME_BYTES.subarray(0, end));
    fc.assert(
      fc.property(fc.nat(RUNTIME_BYTES.length - 1), fc.nat(255), (at, value) => {
        const bytes = Buffer.from(RUNTIME_BYTES);
        bytes[at] = value;
        attempt(bytes);
      }),
      { numRuns: 1000 },
    );
  });
});
