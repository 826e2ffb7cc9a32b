import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_PATH_RULES, type PathRules, readPath } from './request-path.ts';

/** The normalised path, or the reason it is refused for. */
function seen(text: string, rules?: Partial<PathRules>): string {
  const read = readPath(text, { ...DEFAULT_PATH_RULES, ...rules });
  return read.kind === 'path' ? read.path : read.reason;
}

function forwarded(text: string, rules?: Partial<PathRules>): string {
  const read = readPath(text, { ...DEFAULT_PATH_RULES, ...rules });
  return read.kind === 'path' ? read.forwarded : read.reason;
}

describe('readPath()', () => {
  test('decodes unreserved characters, once, and writes other triplets in upper case', () => {
    assert.equal(seen('/%61dmin'), '/admin');
    assert.equal(seen('/%7Euser/%2d%5F%30%5a'), '/~user/-_0Z');
    assert.equal(seen('/a%3ab%c3%a9'), '/a%3Ab%C3%A9');
    assert.equal(seen('/%2561'), '/%2561');
    assert.equal(seen('/%25%36%31'), '/%2561');
  });

  test('resolves dot segments, encoded ones too, and stays at the root', () => {
    const cases: readonly (readonly [string, string])[] = [
      ['/', '/'],
      ['/a/./b', '/a/b'],
      ['/./admin', '/admin'],
      ['/x/../admin', '/admin'],
      ['/x/%2e%2E/admin', '/admin'],
      ['/x/.%2e/admin', '/admin'],
      ['/%2e/admin', '/admin'],
      ['/../../etc/passwd', '/etc/passwd'],
      ['/a/b/..', '/a/'],
      ['/a/.', '/a/'],
      ['/..', '/'],
      ['/a/...', '/a/...'],
      ['/a/..b/.c', '/a/..b/.c'],
    ];
    for (const [text, expected] of cases) assert.equal(seen(text), expected, text);
  });

  test('makes one slash of several, and keeps the one at the end', () => {
    assert.equal(seen('//admin'), '/admin');
    assert.equal(seen('/a///b//'), '/a/b/');
    assert.equal(seen('/a//../b'), '/b');
    assert.equal(seen('/admin/'), '/admin/');
    assert.equal(seen('//'), '/');
  });

  test('keeps several slashes where the rules say so', () => {
    const rules = { mergeSlashes: false };
    assert.equal(seen('/a//b//', rules), '/a//b//');
    assert.equal(seen('/a//../b', rules), '/a/b');
    assert.equal(seen('/a/./b', rules), '/a/b');
    assert.equal(forwarded('/a//%62', rules), '/a//%62');
  });

  test('refuses what servers read in several ways, by name', () => {
    const cases: readonly (readonly [string, string])[] = [
      ['\\admin', 'no-leading-slash'],
      ['/a\\b', 'backslash'],
      ['/admin%2fx', 'encoded-slash'],
      ['/admin%2Fx', 'encoded-slash'],
      ['/admin%5cx', 'encoded-backslash'],
      ['/admin%00', 'encoded-nul'],
      ['/a/..;/b', 'dot-segment-parameter'],
      ['/a/..;x=y/b', 'dot-segment-parameter'],
      ['/a/.;/b', 'dot-segment-parameter'],
      ['/a/%2e%2e%3b/b', 'dot-segment-parameter'],
      ['/%c0%af', 'bad-utf8'],
      ['/%ff', 'bad-utf8'],
      ['/%ed%a0%80', 'bad-utf8'],
      ['/%e2%82', 'bad-utf8'],
      ['/%', 'bad-percent'],
      ['/%2', 'bad-percent'],
      ['/%zz', 'bad-percent'],
      ['/%u002e', 'bad-percent'],
      ['', 'no-leading-slash'],
      ['admin', 'no-leading-slash'],
      ['/a b', 'bad-character'],
      ['/a\tb', 'bad-character'],
      ['/a\r\nb', 'bad-character'],
      ['/a\u0000', 'bad-character'],
      ['/caf\u00e9', 'bad-character'],
      ['/a#b', 'bad-character'],
      ['/a?b', 'bad-character'],
    ];
    for (const [text, reason] of cases) assert.equal(seen(text), reason, JSON.stringify(text));
  });

  test('names with a semicolon, with dots in them, or in the visible rest of ASCII are names', () => {
    for (const path of ['/a;v=1/b', '/a..;b', '/a,b', '/{id}', '/[x]|"<>^`', "/(a)!$&'*+=:@"])
      assert.equal(seen(path), path);
  });

  test('keeps encoded slashes in a name where the rules say so, but none beside dots', () => {
    const rules = { encodedSlashes: 'keep' } as const;
    assert.equal(seen('/@scope%2fname', rules), '/@scope%2Fname');
    assert.equal(seen('/a%5Cb', rules), '/a%5Cb');
    for (const path of ['/..%2fetc', '/a/%2e%2e%5cb', '/a%2f..', '/a%2f.%2fb', '/a%2f..;/b'])
      assert.equal(seen(path, rules), 'encoded-slash', path);
  });

  test('a path as long as allowed is read, a longer one is not', () => {
    const longest = `/${'a'.repeat(8191)}`;
    assert.equal(seen(longest), longest);
    assert.equal(seen(`${longest}a`), 'too-long');
    assert.equal(seen('/abc', { maxPathLength: 3 }), 'too-long');
  });

  test('forwards what the client wrote, unless segments were resolved or slashes dropped', () => {
    assert.equal(forwarded('/%61dmin/%c3%a9'), '/%61dmin/%c3%a9');
    assert.equal(forwarded('/x/../%61dmin/%c3%a9'), '/admin/%C3%A9');
    assert.equal(forwarded('//%61dmin'), '/admin');
    assert.equal(forwarded('/a/'), '/a/');
  });
});

const PIECE = fc.constantFrom(
  ...'/ / / . .. a b ; %2e %2E %61 %2f %5C %3b %c3%a9 %25 %00 %ff \\ % \u00e9 : %3A'.split(' '),
  ' ',
);
const TEXT = fc.oneof(
  fc.array(PIECE, { maxLength: 12 }).map((pieces) => `/${pieces.join('')}`),
  fc.string().map((text) => `/${text}`),
  fc.string({ unit: 'binary' }),
);
const RULES: fc.Arbitrary<PathRules> = fc.record({
  maxPathLength: fc.constant(40),
  mergeSlashes: fc.boolean(),
  encodedSlashes: fc.constantFrom('refuse', 'keep'),
});

/** As a server does it: taken apart, decoded a segment at a time, and walked. */
function walked(text: string, mergeSlashes: boolean): readonly string[] {
  const [, ...segments] = text.split('/').map(decodeURIComponent);
  let place: string[] = [];
  for (const [index, name] of segments.entries()) {
    const isDirectory = index < segments.length - 1;
    if (name === '..') place = place.slice(0, -1);
    if (name === '.' || name === '..') place = isDirectory ? place : [...place, ''];
    else if (name !== '' || !isDirectory || !mergeSlashes) place = [...place, name];
  }
  return place;
}

describe('readPath() on anything', () => {
  test('never throws, and answers in bounds', () => {
    fc.assert(
      fc.property(TEXT, RULES, (text, rules) => {
        const read = readPath(text, rules);
        if (read.kind === 'path') assert.ok(read.path.length <= 40 && read.forwarded.length <= 40);
      }),
      { numRuns: 2000 },
    );
  });

  test('what is normalised stays as it is, and so does what is forwarded', () => {
    fc.assert(
      fc.property(TEXT, RULES, (text, rules) => {
        const read = readPath(text, rules);
        if (read.kind === 'refused') return;
        const { path, forwarded } = read;
        assert.deepEqual(readPath(path, rules), { kind: 'path', path, forwarded: path });
        assert.deepEqual(readPath(forwarded, rules), { kind: 'path', path, forwarded });
      }),
      { numRuns: 2000 },
    );
  });

  test('no dot segment is left, however it is spelt, in what is decided on or forwarded', () => {
    fc.assert(
      fc.property(TEXT, RULES, (text, rules) => {
        const read = readPath(text, rules);
        if (read.kind === 'refused') return;
        for (const left of [read.path, read.forwarded]) {
          for (const segment of decodeURIComponent(left).split(/[/\\]/))
            assert.doesNotMatch(segment, /^\.\.?(;|$)/, left);
          if (rules.mergeSlashes) assert.doesNotMatch(left, /\/\//);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('a server that walks the text itself comes to the segments that were decided on', () => {
    let accepted = 0;
    fc.assert(
      fc.property(TEXT, RULES, (text, rules) => {
        const read = readPath(text, rules);
        if (read.kind === 'refused') return;
        accepted++;
        const segments = walked(text, rules.mergeSlashes);
        assert.deepEqual(read.path.slice(1).split('/').map(decodeURIComponent), segments);
        assert.deepEqual(walked(read.forwarded, rules.mergeSlashes), segments);
      }),
      { numRuns: 3000 },
    );
    assert.ok(accepted > 300, `of this pool enough has to be accepted: ${accepted} was`);
  });
});
