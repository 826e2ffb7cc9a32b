// Objects as `application/vnd.kubernetes.protobuf`: the magic bytes "k8s\0", then a runtime.Unknown with the object's
// bytes inside. Clients written in Go send it for many kinds (schema.ts); answered are Secrets and ConfigMaps only.

import { Buffer } from 'node:buffer';
import { badRequest } from '../errors.ts';
import { isRecord, type KubeObject, stringAt } from '../object.ts';
import { decodeMessage } from './decode.ts';
import { toMessage } from './encode.ts';
import { messageOf, UNKNOWN } from './schema.ts';

const MAGIC = Buffer.from('k8s\0', 'latin1');
const ANSWERED: ReadonlySet<string> = new Set([
  'ConfigMap',
  'ConfigMapList',
  'Secret',
  'SecretList',
]);

/** Undefined for kinds that are not offered in protobuf; clients take JSON then. */
export function encodeKubernetesProtobuf(object: KubeObject): Buffer | undefined {
  const { apiVersion = '', kind = '' } = object;
  const type = ANSWERED.has(kind) ? messageOf(apiVersion, kind) : undefined;
  if (type === undefined) return undefined;
  const raw = type.encode(type.fromObject(toMessage(object))).finish();
  const unknown = UNKNOWN.encode({
    typeMeta: { apiVersion, kind },
    raw,
    contentEncoding: '',
    contentType: '',
  }).finish();
  return Buffer.concat([MAGIC, unknown]);
}

/** @throws StatusError 400 */
export function decodeKubernetesProtobuf(bytes: Buffer): KubeObject {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw badRequest('the body is not Kubernetes protobuf: it does not start with "k8s\\0"');
  }
  try {
    const unknown = decodeMessage(UNKNOWN, bytes.subarray(MAGIC.length));
    const apiVersion = stringAt(unknown['typeMeta'], 'apiVersion') ?? '';
    const kind = stringAt(unknown['typeMeta'], 'kind') ?? '';
    const type = messageOf(apiVersion, kind);
    if (type === undefined) throw new Error(`${kind} of ${apiVersion} is not taken in protobuf`);
    const raw = Buffer.from(stringAt(unknown, 'raw') ?? '', 'base64');
    const { metadata, ...fields } = decodeMessage(type, raw);
    // options have no metadata; they are no objects, but come the same way
    const meta = 'metadata' in type.fields ? { metadata: isRecord(metadata) ? metadata : {} } : {};
    return { kind, apiVersion, ...meta, ...fields } as KubeObject;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw badRequest(`the body cannot be read as protobuf: ${message}; send it as JSON`);
  }
}
