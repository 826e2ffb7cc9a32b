// Domain names on the wire (RFC 1035 sections 3.1 and 4.1.4), read from messages that anybody may have written and written
// for messages of our own. Called by dns-query.ts and dns-response.ts. Pure; a name that is no name is undefined.

/** RFC 1035 section 3.1: all of a name, with the length byte of each label and of the root. */
const MAX_NAME_BYTES = 255;
const MAX_LABEL_BYTES = 63;
/** Far more than any name has need of: each must lead further back, so a chain cannot be a circle anyway. */
const MAX_POINTERS = 32;
const POINTER = 0xc0;
/** Behind the message's header, where the first name may stand. */
const FIRST_NAME = 12;

export type WireName = {
  /** Lower case, without the final dot; a byte that is no plain character of host names stands as `\ddd`. */
  readonly text: string;
  /** Where the name ends in the message: behind its root label, or its first pointer. */
  readonly end: number;
};

/** undefined when the name is cut off, too long, of an unknown label type, or its pointers do not lead back. */
export function readName(message: Uint8Array, start: number): WireName | undefined {
  const labels: string[] = [];
  let at = start;
  let end: number | undefined;
  let length = 1;
  let pointers = 0;
  // the next pointer must lead before this one: no circle, and nothing read twice
  let floor = start;
  for (;;) {
    const size = message[at];
    if (size === undefined) return undefined;
    if (size === 0) return { text: labels.join('.'), end: end ?? at + 1 };
    if ((size & POINTER) === POINTER) {
      const low = message[at + 1];
      if (low === undefined || ++pointers > MAX_POINTERS) return undefined;
      end ??= at + 2;
      const target = ((size & 0x3f) << 8) | low;
      if (target >= floor || target < FIRST_NAME) return undefined;
      floor = target;
      at = target;
      continue;
    }
    length += size + 1;
    if (size > MAX_LABEL_BYTES || length > MAX_NAME_BYTES || at + 1 + size > message.length)
      return undefined;
    labels.push(labelText(message, at + 1, at + 1 + size));
    at += 1 + size;
  }
}

/** The bytes of a name as {@link readName} gives it, without pointers; undefined when it is no name. */
export function writeName(text: string): Uint8Array | undefined {
  if (text === '') return Uint8Array.of(0);
  const bytes: number[] = [];
  for (const label of text.split('.')) {
    const written = labelBytes(label);
    if (written === undefined) return undefined;
    bytes.push(written.length, ...written);
  }
  bytes.push(0);
  return bytes.length > MAX_NAME_BYTES ? undefined : Uint8Array.from(bytes);
}

function labelText(message: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let at = start; at < end; at++) {
    const byte = message[at] ?? 0;
    if (byte >= 0x41 && byte <= 0x5a) text += String.fromCharCode(byte + 0x20);
    else if (isPlain(byte)) text += String.fromCharCode(byte);
    else text += `\\${String(byte).padStart(3, '0')}`;
  }
  return text;
}

function labelBytes(label: string): number[] | undefined {
  const bytes: number[] = [];
  for (let at = 0; at < label.length; at++) {
    if (label[at] === '\\') {
      const digits = label.slice(at + 1, at + 4);
      if (!/^\d{3}$/.test(digits) || Number(digits) > 255) return undefined;
      bytes.push(Number(digits));
      at += 3;
    } else {
      const code = label.charCodeAt(at);
      if (!isPlain(code)) return undefined;
      bytes.push(code);
    }
  }
  return bytes.length === 0 || bytes.length > MAX_LABEL_BYTES ? undefined : bytes;
}

/** Printable ASCII but for the dot and the backslash, which have a meaning in text. */
function isPlain(byte: number): boolean {
  return byte > 0x20 && byte < 0x7f && byte !== 0x2e && byte !== 0x5c;
}
