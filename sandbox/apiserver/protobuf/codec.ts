// Secrets and ConfigMaps, and their lists, as `application/vnd.kubernetes.protobuf`: the magic bytes "k8s\0", then a
// runtime.Unknown with the object's bytes inside. Other kinds travel as JSON. Field numbers are those of Kubernetes' API.

import { Buffer } from 'node:buffer';
import protobuf from 'protobufjs';
import { badRequest } from '../errors.ts';
import { isRecord, type JsonObject, type KubeObject } from '../object.ts';
import { fromMessage, toMessage } from './messages.ts';

const MAGIC = Buffer.from('k8s\0', 'latin1');

const TYPES = protobuf.parse(`
syntax = "proto2";
message Unknown {
  optional TypeMeta typeMeta = 1; optional bytes raw = 2; optional string contentEncoding = 3;
  optional string contentType = 4;
}
message TypeMeta { optional string apiVersion = 1; optional string kind = 2; }
message Time { optional int64 seconds = 1; optional int32 nanos = 2; }
message FieldsV1 { optional bytes Raw = 1; }
message ListMeta {
  optional string selfLink = 1; optional string resourceVersion = 2; optional string continue = 3;
  optional int64 remainingItemCount = 4;
}
message OwnerReference {
  optional string kind = 1; optional string name = 3; optional string uid = 4; optional string apiVersion = 5;
  optional bool controller = 6; optional bool blockOwnerDeletion = 7;
}
message ManagedFieldsEntry {
  optional string manager = 1; optional string operation = 2; optional string apiVersion = 3; optional Time time = 4;
  optional string fieldsType = 6; optional FieldsV1 fieldsV1 = 7; optional string subresource = 8;
}
message ObjectMeta {
  optional string name = 1; optional string generateName = 2; optional string namespace = 3;
  optional string selfLink = 4; optional string uid = 5; optional string resourceVersion = 6;
  optional int64 generation = 7; optional Time creationTimestamp = 8; optional Time deletionTimestamp = 9;
  optional int64 deletionGracePeriodSeconds = 10; map<string, string> labels = 11;
  map<string, string> annotations = 12; repeated OwnerReference ownerReferences = 13; repeated string finalizers = 14;
  repeated ManagedFieldsEntry managedFields = 17;
}
message Secret {
  optional ObjectMeta metadata = 1; map<string, bytes> data = 2; optional string type = 3;
  map<string, string> stringData = 4; optional bool immutable = 5;
}
message SecretList { optional ListMeta metadata = 1; repeated Secret items = 2; }
message ConfigMap {
  optional ObjectMeta metadata = 1; map<string, string> data = 2; map<string, bytes> binaryData = 3;
  optional bool immutable = 4;
}
message ConfigMapList { optional ListMeta metadata = 1; repeated ConfigMap items = 2; }
`).root;
const UNKNOWN = TYPES.lookupType('Unknown');
const KINDS: ReadonlyMap<unknown, protobuf.Type> = new Map(
  ['Secret', 'SecretList', 'ConfigMap', 'ConfigMapList'].map((kind) => [
    kind,
    TYPES.lookupType(kind),
  ]),
);

/** Undefined for kinds that are not offered in protobuf. */
export function encodeKubernetesProtobuf(object: KubeObject): Buffer | undefined {
  const type = object.apiVersion === 'v1' ? KINDS.get(object.kind) : undefined;
  if (type === undefined) return undefined;
  const raw = type.encode(type.fromObject(toMessage(object))).finish();
  const unknown = UNKNOWN.encode({
    typeMeta: { apiVersion: object.apiVersion, kind: object.kind },
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
  const unknown = decoded(UNKNOWN, bytes.subarray(MAGIC.length));
  const { apiVersion, kind } = isRecord(unknown['typeMeta']) ? unknown['typeMeta'] : {};
  const type = apiVersion === 'v1' ? KINDS.get(kind) : undefined;
  if (type === undefined) {
    throw badRequest(
      `${String(apiVersion)} ${String(kind)} is not taken in protobuf: send it as JSON`,
    );
  }
  const raw = unknown['raw'];
  const object = fromMessage(decoded(type, raw instanceof Uint8Array ? raw : new Uint8Array()));
  const { metadata, ...fields } = object;
  return {
    kind: String(kind),
    apiVersion: 'v1',
    metadata: isRecord(metadata) ? metadata : {},
    ...fields,
  };
}

function decoded(type: protobuf.Type, bytes: Uint8Array): JsonObject {
  try {
    return type.toObject(type.decode(bytes), { longs: Number, bytes: Uint8Array }) as JsonObject;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw badRequest(`the body is not a ${type.name} in protobuf: ${message}`);
  }
}
