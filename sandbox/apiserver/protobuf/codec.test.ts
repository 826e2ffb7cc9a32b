import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { StatusError } from '../errors.ts';
import type { KubeObject } from '../object.ts';
import { decodeKubernetesProtobuf, encodeKubernetesProtobuf } from './codec.ts';
import { messageOf, UNKNOWN } from './schema.ts';

const SECRET: KubeObject = {
  kind: 'Secret',
  apiVersion: 'v1',
  metadata: {
    name: 'root',
    namespace: 'ambit-system',
    uid: '1-2-3',
    resourceVersion: '17',
    generation: 3,
    creationTimestamp: '2026-01-02T03:04:05Z',
    labels: { time: 'a label, not a time', data: 'x' },
    annotations: { fieldsV1: 'text' },
    finalizers: ['demo/keep'],
    ownerReferences: [{ kind: 'Pod', name: 'p', uid: 'u', apiVersion: 'v1', controller: true }],
    managedFields: [
      {
        manager: 'kubectl',
        operation: 'Update',
        apiVersion: 'v1',
        time: '2026-01-02T03:04:05Z',
        fieldsType: 'FieldsV1',
        fieldsV1: { 'f:data': { 'f:tls.key': {} } },
      },
    ],
  },
  type: 'kubernetes.io/tls',
  data: { 'tls.key': Buffer.from([0, 255, 1]).toString('base64') },
  immutable: true,
};

/** Unknown{ TypeMeta{v1, ConfigMap}, raw: ConfigMap{ ObjectMeta{web, demo} } }. */
const CONFIG_MAP_HEX = '6b3873000a0f0a0276311209436f6e6669674d6170120d0a0b0a037765621a0464656d6f';

const roundTrip = (object: KubeObject): KubeObject => {
  const bytes = encodeKubernetesProtobuf(object);
  assert.ok(bytes);
  return decodeKubernetesProtobuf(bytes);
};

describe('Kubernetes protobuf', () => {
  test('carries a Secret whole', () => {
    assert.deepEqual(roundTrip(SECRET), SECRET);
  });

  test('carries a list with its version and place', () => {
    const { kind: _, apiVersion: __, ...item } = SECRET;
    const list = {
      kind: 'SecretList',
      apiVersion: 'v1',
      metadata: { resourceVersion: '20', continue: 'next', remainingItemCount: 4 },
      items: [item],
    };
    assert.deepEqual(roundTrip(list as KubeObject), list);
  });

  test('carries any ConfigMap', () => {
    const key = fc.stringMatching(/^[a-zA-Z0-9._-]{1,20}$/).filter((text) => text !== '__proto__');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(key, fc.string({ unit: 'grapheme' }))),
        fc.array(fc.tuple(key, fc.uint8Array()), { minLength: 1 }),
        (data, binary) => {
          const object: KubeObject = {
            kind: 'ConfigMap',
            apiVersion: 'v1',
            metadata: { name: 'web' },
            data: { always: 'one', ...Object.fromEntries(data) },
            binaryData: Object.fromEntries(
              binary.map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')]),
            ),
          };
          assert.deepEqual(roundTrip(object), object);
        },
      ),
    );
  });

  test('starts with the magic bytes and the type of the object', () => {
    const bytes = encodeKubernetesProtobuf({
      kind: 'ConfigMap',
      apiVersion: 'v1',
      metadata: { name: 'web', namespace: 'demo' },
    });
    assert.equal(bytes?.toString('hex'), CONFIG_MAP_HEX);
  });

  /** A body as a Go client sends it, from the plain form of its message. */
  const sent = (apiVersion: string, kind: string, message: object): Buffer => {
    const type = messageOf(apiVersion, kind);
    assert.ok(type);
    const raw = type.encode(type.fromObject(message)).finish();
    const unknown = UNKNOWN.encode({ typeMeta: { apiVersion, kind }, raw }).finish();
    return Buffer.concat([Buffer.from('k8s\0'), unknown]);
  };

  test('lays embedded structs open, and writes times, quantities and ports as JSON does', () => {
    const container = {
      name: 'a',
      image: 'x',
      livenessProbe: {
        handler: { httpGet: { path: '/', port: { type: 1, strVal: 'web' } } },
        periodSeconds: 3,
      },
      readinessProbe: { handler: { tcpSocket: { port: { type: 0, intVal: 80 } } } },
      resources: { requests: { cpu: { string: '100m' } } },
      env: [
        {
          name: 'A',
          valueFrom: {
            configMapKeyRef: { localObjectReference: { name: 'c' }, key: 'k', optional: false },
          },
        },
      ],
    };
    const spec = {
      containers: [container],
      volumes: [{ name: 'v', volumeSource: { emptyDir: {} } }],
      terminationGracePeriodSeconds: 0,
    };
    const body = sent('v1', 'Pod', {
      metadata: { name: 'p', creationTimestamp: { seconds: 1_700_000_000 } },
      spec,
    });
    assert.deepEqual(decodeKubernetesProtobuf(body), {
      kind: 'Pod',
      apiVersion: 'v1',
      metadata: { name: 'p', creationTimestamp: '2023-11-14T22:13:20Z' },
      spec: {
        containers: [
          {
            name: 'a',
            image: 'x',
            livenessProbe: { httpGet: { path: '/', port: 'web' }, periodSeconds: 3 },
            readinessProbe: { tcpSocket: { port: 80 } },
            resources: { requests: { cpu: '100m' } },
            env: [
              {
                name: 'A',
                valueFrom: { configMapKeyRef: { name: 'c', key: 'k', optional: false } },
              },
            ],
          },
        ],
        volumes: [{ name: 'v', emptyDir: {} }],
        terminationGracePeriodSeconds: 0,
      },
    });
  });

  test('leaves out zeroes that mean nothing and keeps those that do', () => {
    // replicas 0 (meaningful), minReadySeconds 0 (not), paused false (not), and an empty creation time, by hand
    const raw = Buffer.from('0a05' + '0a01644200' + '1206' + '0800' + '2800' + '3800', 'hex');
    const typeMeta = { apiVersion: 'apps/v1', kind: 'Deployment' };
    const unknown = UNKNOWN.encode({ typeMeta, raw }).finish();
    assert.deepEqual(decodeKubernetesProtobuf(Buffer.concat([Buffer.from('k8s\0'), unknown])), {
      kind: 'Deployment',
      apiVersion: 'apps/v1',
      metadata: { name: 'd' },
      spec: { replicas: 0 },
    });
  });

  test('takes the options of a delete under any version', () => {
    const body = sent('apps/v1', 'DeleteOptions', { propagationPolicy: 'Foreground' });
    assert.deepEqual(decodeKubernetesProtobuf(body), {
      kind: 'DeleteOptions',
      apiVersion: 'apps/v1',
      propagationPolicy: 'Foreground',
    });
  });

  test('refuses a field it does not know instead of dropping it', () => {
    const raw = Buffer.from('9a060161', 'hex');
    const unknown = UNKNOWN.encode({ typeMeta: { apiVersion: 'v1', kind: 'Pod' }, raw }).finish();
    assert.throws(
      () => decodeKubernetesProtobuf(Buffer.concat([Buffer.from('k8s\0'), unknown])),
      /field 99 of Pod is not known; send it as JSON/,
    );
  });

  test('is not offered for other kinds', () => {
    assert.equal(
      encodeKubernetesProtobuf({ kind: 'Pod', apiVersion: 'v1', metadata: {} }),
      undefined,
    );
  });

  test('answers a broken body with a StatusError', () => {
    const good = encodeKubernetesProtobuf(SECRET);
    assert.ok(good);
    assert.throws(() => decodeKubernetesProtobuf(Buffer.from('{}')), /does not start with/);
    assert.throws(() => decodeKubernetesProtobuf(good.subarray(0, 40)), StatusError);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (tail) => {
        try {
          decodeKubernetesProtobuf(Buffer.concat([Buffer.from('k8s\0'), tail]));
        } catch (error) {
          assert.ok(error instanceof StatusError, String(error));
        }
      }),
    );
  });
});
