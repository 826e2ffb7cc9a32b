// The bytes of a gRPC message that holds one text: `string message = 1`, framed as gRPC frames messages (a byte for
// compression, four for the length). Both ends of the echo's gRPC use it over plain HTTP/2, because a gRPC library joins
// the lines of a header, and how many lines came is what the echo is to tell. Limit: MAX_MESSAGE_BYTES.

/** Full name of the unary method: `Echo(EchoRequest { string message = 1 }) returns EchoResponse { string message = 1 }`. */
export const ECHO_METHOD = '/proto.EchoTestService/Echo';

const FRAME_BYTES = 5;
const TEXT_FIELD = 0x0a;
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

export function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length: number[] = [];
  for (let rest = bytes.length; ; rest >>>= 7) {
    if (rest < 0x80) {
      length.push(rest);
      break;
    }
    length.push((rest & 0x7f) | 0x80);
  }
  // proto3 leaves an empty text out
  const field = bytes.length === 0 ? [] : [Buffer.from([TEXT_FIELD, ...length]), bytes];
  const message = Buffer.concat(field);
  const frame = Buffer.alloc(FRAME_BYTES);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}

/** The text of the first message. @throws Error that says what is wrong with the bytes */
export function decodeText(bytes: Buffer): string {
  if (bytes.length < FRAME_BYTES) throw new Error(`No gRPC message in ${bytes.length} bytes`);
  if (bytes[0] !== 0) throw new Error('Cannot read a compressed gRPC message: none was agreed on');
  const length = bytes.readUInt32BE(1);
  if (length > MAX_MESSAGE_BYTES) throw new Error(`A gRPC message of ${length} bytes is too long`);
  const message = bytes.subarray(FRAME_BYTES, FRAME_BYTES + length);
  if (message.length < length) {
    throw new Error(`A gRPC message of ${length} bytes ended after ${message.length}`);
  }
  if (length === 0) return '';
  if (message[0] !== TEXT_FIELD) throw new Error('The gRPC message does not begin with field 1');
  let [size, at] = [0, 1];
  for (let shift = 0; ; shift += 7) {
    const byte = message[at++];
    if (byte === undefined || shift > 21)
      throw new Error('The text of the gRPC message has no length');
    size |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  if (at + size > message.length) throw new Error('The text of the gRPC message is cut off');
  return message.toString('utf8', at, at + size);
}
