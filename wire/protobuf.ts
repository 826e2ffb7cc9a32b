// Reads .proto text into message types. Called once per message by the codecs of this folder; the only thing they know
// of the protobuf library. Invariant: bytes that are no such message give a DecodeError, nothing else.

import protobuf from 'protobufjs';

/** Bytes that are not what they should be; the message names the resource or frame. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

export type MessageType<T extends object> = {
  encode(value: T): Uint8Array;
  /** Absent fields come with their default value. @throws DecodeError */
  decode(bytes: Uint8Array): T;
};

export function loadProto(text: string): protobuf.Root {
  const { root } = protobuf.parse(text, { keepCase: false });
  root.resolveAll();
  return root;
}

/** `T` is the plain-object shape of the message: camelCase fields, enums by name, uint32 as number. */
export function messageType<T extends object>(root: protobuf.Root, name: string): MessageType<T> {
  const type = root.lookupType(name);
  return {
    encode: (value) => type.encode(type.fromObject(value)).finish(),
    decode(bytes) {
      try {
        return type.toObject(type.decode(bytes), {
          enums: String,
          defaults: true,
          arrays: true,
          objects: true,
          oneofs: true,
        }) as T;
      } catch (cause) {
        throw new DecodeError(`Cannot read ${name} from ${bytes.length} bytes`, { cause });
      }
    },
  };
}
