// gRPC's health checking protocol (grpc.health.v1.Health/Check) as the bytes of one request and one response, framing included.
// Called by waypoints that check endpoints.

import { HEALTH_PROTO } from './proto/health.ts';
import { DecodeError, loadProto, messageType } from './protobuf.ts';

export const HEALTH_CHECK_PATH = '/grpc.health.v1.Health/Check';

/** Flag and length before each message (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;

const root = loadProto(HEALTH_PROTO);
const REQUEST = messageType<{ service: string }>(root, 'grpc.health.v1.HealthCheckRequest');
const RESPONSE = messageType<{ status: string }>(root, 'grpc.health.v1.HealthCheckResponse');

/** `service`: empty asks for the server as a whole. */
export function encodeHealthCheck(service: string): Uint8Array {
  const message = REQUEST.encode({ service });
  const framed = new Uint8Array(PREFIX_BYTES + message.length);
  new DataView(framed.buffer).setUint32(1, message.length);
  framed.set(message, PREFIX_BYTES);
  return framed;
}

/** Whether the response says SERVING. @throws DecodeError */
export function isServing(framed: Uint8Array): boolean {
  if (framed.length < PREFIX_BYTES) throw new DecodeError('The health check has no message');
  const view = new DataView(framed.buffer, framed.byteOffset);
  const length = view.getUint32(1);
  if (framed[0] !== 0 || framed.length !== PREFIX_BYTES + length) {
    throw new DecodeError('The health check is compressed, or not one message');
  }
  return RESPONSE.decode(framed.subarray(PREFIX_BYTES)).status === 'SERVING';
}
