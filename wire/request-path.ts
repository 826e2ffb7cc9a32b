// The path of a request, brought into the one form in which routes and policies see it, or refused where the server behind
// the mesh might read something else in it than we do. Called by request-target.ts, and on the paths users write into
// routes. Strict: it comes from a peer. Never throws.
//
// What is normalised (RFC 3986 section 6.2.2): percent-encoded unreserved characters are decoded (once), the other triplets
// get upper-case digits, dot segments are resolved, also encoded ones, and runs of slashes become one (unless the rules
// say otherwise). What is left encoded stays so: `%3A` and `:` are two different paths, as in RFC 3986 and in Envoy.
//
// What is forwarded: the client's own spelling, as long as it has the same segments, so that signatures over it hold; the
// normalised path as soon as a dot segment was resolved or a slash dropped, so that no server can resolve it otherwise.
// Slashes are merged before dots are resolved, as nginx does it: `/a//../b` is `/b`.

export type PathRules = {
  /** Longer ones end with 414. 8 KiB is what servers commonly take for a whole request line. */
  readonly maxPathLength: number;
  /** false: `//` stays, as two servers in three tell `/a//b` from `/a/b`; policies have to be written for it then. */
  readonly mergeSlashes: boolean;
  /** `keep` for applications that put `%2F` or `%5C` into one segment (package registries do). */
  readonly encodedSlashes: 'refuse' | 'keep';
};

export const DEFAULT_PATH_RULES: PathRules = {
  maxPathLength: 8192,
  mergeSlashes: true,
  encodedSlashes: 'refuse',
};

/** Why a path is refused; also the label under which it is counted. */
export type PathRefusal =
  | 'too-long'
  | 'no-leading-slash'
  | 'bad-character'
  | 'backslash'
  | 'bad-percent'
  | 'bad-utf8'
  | 'encoded-nul'
  | 'encoded-slash'
  | 'encoded-backslash'
  | 'dot-segment-parameter';

export type ReadPath =
  | { readonly kind: 'path'; readonly path: string; readonly forwarded: string }
  | { readonly kind: 'refused'; readonly reason: PathRefusal };

const UNRESERVED = /^[A-Za-z0-9._~-]$/;

/** `text` is the path alone, without the query. */
export function readPath(text: string, rules: PathRules = DEFAULT_PATH_RULES): ReadPath {
  if (text.length > rules.maxPathLength) return refused('too-long');
  if (!text.startsWith('/')) return refused('no-leading-slash');
  if (text.includes('\\')) return refused('backslash');
  // RFC 3986 allows fewer; browsers and clients send all of ASCII that is visible, and it is harmless
  if (!/^[\x21-\x7e]+$/.test(text) || /[#?]/.test(text)) return refused('bad-character');
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return refused('bad-percent');
  const plain = text.replaceAll(/%[0-9A-Fa-f]{2}/g, plainTriplet);
  if (plain.includes('%00')) return refused('encoded-nul');
  if (rules.encodedSlashes === 'refuse') {
    if (plain.includes('%2F')) return refused('encoded-slash');
    if (plain.includes('%5C')) return refused('encoded-backslash');
  }
  if (!isUtf8(plain)) return refused('bad-utf8');
  const segments = plain.split('/').slice(1);
  // `..;x` is a dot segment to servers that know path parameters, and a name to the others
  if (segments.some((segment) => /^\.{1,2}(?:;|%3B)/.test(segment)))
    return refused('dot-segment-parameter');
  if (segments.some(hidesDotSegment)) return refused('encoded-slash');
  const resolved = resolve(segments, rules.mergeSlashes);
  const path = `/${resolved.join('/')}`;
  return { kind: 'path', path, forwarded: path === plain ? text : path };
}

function refused(reason: PathRefusal): ReadPath {
  return { kind: 'refused', reason };
}

function plainTriplet(triplet: string): string {
  const character = String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
  return UNRESERVED.test(character) ? character : triplet.toUpperCase();
}

/** Kept encoded slashes are part of a name; beside dots a server that decodes them would climb by them. */
function hidesDotSegment(segment: string): boolean {
  const parts = segment.split(/%2F|%5C/);
  return parts.length > 1 && parts.some((part) => /^\.{1,2}(?:;|%3B|$)/.test(part));
}

/** RFC 3629: no overlong forms, no surrogates, nothing cut short. */
function isUtf8(encoded: string): boolean {
  try {
    decodeURIComponent(encoded);
    return true;
  } catch {
    return false;
  }
}

/** RFC 3986 section 5.2.4: `..` at the root stays there, a dot segment at the end leaves a slash. */
function resolve(segments: readonly string[], mergeSlashes: boolean): readonly string[] {
  const kept: string[] = [];
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1;
    const isDot = segment === '.' || segment === '..';
    if (segment === '..') kept.pop();
    if (isDot || segment === '') {
      if (isLast) kept.push('');
      else if (!isDot && !mergeSlashes) kept.push('');
    } else {
      kept.push(segment);
    }
  }
  return kept;
}
