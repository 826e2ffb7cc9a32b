// Reads a request's body, bounded, and decodes it as its content type says.

import type { IncomingMessage } from 'node:http';
import { parse as parseYaml } from 'yaml';
import { badRequest, tooLarge, unsupportedMediaType } from '../errors.ts';
import { decodeKubernetesProtobuf } from '../protobuf/codec.ts';
import { decodeTypedBody, typeOfProtobuf } from '../typed/decode.ts';
import { PROTOBUF } from './accept.ts';

/** The limit of a real API server: an object that etcd would refuse is not accepted here either. */
export const MAX_BODY_BYTES = 3 * 1024 * 1024;

const ACCEPTED = ['application/json', 'application/yaml', PROTOBUF];

export async function readBody(request: IncomingMessage): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES)
    throw tooLarge(MAX_BODY_BYTES);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = chunk as Buffer;
    size += bytes.length;
    if (size > MAX_BODY_BYTES) throw tooLarge(MAX_BODY_BYTES);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

export function mediaTypeOf(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

/** The value in an object's body; undefined for an empty one. */
export function decodeBody(bytes: Buffer, mediaType: string): unknown {
  if (bytes.length === 0) return undefined;
  switch (mediaType) {
    case '':
    case '*/*':
    case 'application/json':
      return parseJson(bytes);
    case 'application/yaml':
      return parseYamlBody(bytes);
    case PROTOBUF:
      return decodeProtobuf(bytes);
    default:
      throw unsupportedMediaType(mediaType, ACCEPTED);
  }
}

export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch (error) {
    throw badRequest(
      `the object provided is unrecognized: couldn't parse JSON: ${messageOf(error)}`,
    );
  }
}

/** YAML, and JSON as its subset; JSON is tried first because it is the common case and far quicker. */
export function parseYamlBody(bytes: Buffer): unknown {
  const text = bytes.toString('utf8');
  try {
    return JSON.parse(text) as unknown;
  } catch {
    try {
      return parseYaml(text) as unknown;
    } catch (error) {
      throw badRequest(`error decoding YAML: ${messageOf(error)}`);
    }
  }
}

function decodeProtobuf(bytes: Buffer): unknown {
  const type = typeOfProtobuf(bytes);
  const configuration = type?.kind === 'Secret' || type?.kind === 'ConfigMap';
  return configuration ? decodeKubernetesProtobuf(bytes) : decodeTypedBody(bytes);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
