import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { editHeaders, editRequestHeaders } from './edit-request.ts';
import { type HeaderList, joinedHeaderOf } from './http-request.ts';
import type { HeaderEdit } from './route.ts';
import { requestTo } from './test-routes.ts';

const edit = (parts: Partial<HeaderEdit>): HeaderEdit => ({
  set: [],
  add: [],
  remove: [],
  ...parts,
});

function sent(headers: Readonly<Record<string, string>>): HeaderList {
  return Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
}

function assertEdited(
  headers: Readonly<Record<string, string>>,
  change: Partial<HeaderEdit>,
  expected: Readonly<Record<string, string | undefined>>,
): void {
  const edited = editHeaders(sent(headers), edit(change));
  for (const [name, value] of Object.entries(expected)) {
    assert.equal(joinedHeaderOf({ headers: edited }, name.toLowerCase()), value, name);
  }
}

describe('editHeaders(), by the cases of the Gateway API', () => {
  const set: Partial<HeaderEdit> = { set: [['X-Header-Set', 'set-overwrites-values']] };
  const add: Partial<HeaderEdit> = { add: [['X-Header-Add', 'add-appends-values']] };

  test('set writes a header, and over one that is there', () => {
    const expected = { 'Some-Other-Header': 'val', 'X-Header-Set': 'set-overwrites-values' };
    assertEdited({ 'Some-Other-Header': 'val' }, set, expected);
    assertEdited({ 'Some-Other-Header': 'val', 'X-Header-Set': 'some-other-value' }, set, expected);
  });

  test('add appends to what is there, which joins as "a,b"', () => {
    assertEdited({ 'Some-Other-Header': 'val' }, add, {
      'Some-Other-Header': 'val',
      'X-Header-Add': 'add-appends-values',
    });
    assertEdited({ 'X-Header-Add': 'some-other-value' }, add, {
      'X-Header-Add': 'some-other-value,add-appends-values',
    });
  });

  test('remove takes a header out', () => {
    assertEdited(
      { 'X-Header-Remove': 'val' },
      { remove: ['X-Header-Remove'] },
      { 'X-Header-Remove': undefined },
    );
  });

  test('one edit sets, adds and removes several', () => {
    const change: HeaderEdit = {
      set: [
        ['X-Header-Set-1', 'header-set-1'],
        ['X-Header-Set-2', 'header-set-2'],
      ],
      add: [
        ['X-Header-Add-1', 'header-add-1'],
        ['X-Header-Add-2', 'header-add-2'],
        ['X-Header-Add-3', 'header-add-3'],
      ],
      remove: ['X-Header-Remove-1', 'X-Header-Remove-2'],
    };
    const headers = {
      'X-Header-Set-2': 'set-val-2',
      'X-Header-Add-2': 'add-val-2',
      'X-Header-Remove-2': 'remove-val-2',
      'Another-Header': 'another-header-val',
    };
    assertEdited(headers, change, {
      'X-Header-Set-1': 'header-set-1',
      'X-Header-Set-2': 'header-set-2',
      'X-Header-Add-1': 'header-add-1',
      'X-Header-Add-2': 'add-val-2,header-add-2',
      'X-Header-Add-3': 'header-add-3',
      'X-Header-Remove-1': undefined,
      'X-Header-Remove-2': undefined,
      'Another-Header': 'another-header-val',
    });
  });

  test('names are compared without case', () => {
    const headers = {
      'x-header-set': 'original-val-set',
      'x-header-add': 'original-val-add',
      'x-header-remove': 'original-val-remove',
      'Another-Header': 'another-header-val',
    };
    const change: HeaderEdit = {
      set: [['X-Header-Set', 'header-set']],
      add: [['X-Header-Add', 'header-add']],
      remove: ['X-Header-Remove'],
    };
    assertEdited(headers, change, {
      'X-Header-Set': 'header-set',
      'X-Header-Add': 'original-val-add,header-add',
      'X-Header-Remove': undefined,
      'Another-Header': 'another-header-val',
    });
  });
});

describe('editHeaders()', () => {
  test('lines keep their order; what is set stands where the first line of its name stood', () => {
    const headers = sent({ a: '1', b: '2', c: '3' });
    const twice: HeaderList = [...headers, ['b', '4']];
    assert.deepEqual(editHeaders(twice, edit({ set: [['B', 'x']], add: [['a', 'y']] })), [
      ['a', '1'],
      ['b', 'x'],
      ['c', '3'],
      ['a', 'y'],
    ]);
  });

  test('removing comes before setting, setting before adding', () => {
    const change = edit({ set: [['a', 'set']], add: [['a', 'add']], remove: ['a'] });
    assert.deepEqual(editHeaders([['a', '1']], change), [
      ['a', 'set'],
      ['a', 'add'],
    ]);
  });

  test('of entries with one name the first counts', () => {
    const pairs = [
      ['X-A', '1'],
      ['x-a', '2'],
    ] as const;
    assert.deepEqual(editHeaders([], edit({ set: pairs })), [['x-a', '1']]);
    assert.deepEqual(editHeaders([], edit({ add: pairs })), [['x-a', '1']]);
  });

  test('what frames a message is left as it is', () => {
    const framing = ['Content-Length', 'Transfer-Encoding', 'Connection', 'TE', 'Host', 'Upgrade'];
    const headers = sent(Object.fromEntries(framing.map((name) => [name, 'as it was'])));
    const pairs = framing.map((name) => [name, '0'] as const);
    assert.deepEqual(editHeaders(headers, { set: pairs, add: pairs, remove: framing }), headers);
  });

  test('names that are no names and values of several lines are left out', () => {
    const pairs = [
      [':path', '/x'],
      ['', 'x'],
      ['a b', 'x'],
      ['a:', 'x'],
      ['a', 'x\r\nb: y'],
      ['c', 'x\u0000'],
    ] as const;
    assert.deepEqual(editHeaders([], { set: pairs, add: pairs, remove: [':path'] }), []);
  });

  test('the same edit twice sets and removes what it did once, and adds again', () => {
    const name = fc.constantFrom('a', 'B', 'c', 'content-length');
    const pairs = fc.array(fc.tuple(name, fc.constantFrom('1', '2')), { maxLength: 3 });
    const headers = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('1', '2')));
    const remove = fc.array(name, { maxLength: 2 });
    fc.assert(
      fc.property(headers, pairs, pairs, remove, (headers, set, add, remove) => {
        const once = editHeaders(headers, edit({ set, remove }));
        assert.deepEqual(editHeaders(once, edit({ set, remove })), once);
        const names = new Set(add.map(([name]) => name.toLowerCase()));
        names.delete('content-length');
        assert.equal(editHeaders(headers, edit({ add })).length, headers.length + names.size);
      }),
    );
  });
});

describe('editRequestHeaders()', () => {
  const request = requestTo('/', { host: 'echo:80', headers: { a: '1' } });

  test('setting host sets the authority, and is no header line', () => {
    const edited = editRequestHeaders(
      request,
      edit({ set: [['Host', 'Other.example:8080']], remove: ['a'] }),
    );
    assert.deepEqual(edited, { ...request, authority: 'other.example:8080', headers: [] });
  });

  test('host cannot be removed, added, or set to what is no host', () => {
    const change = { set: [['host', 'a b']], add: [['host', 'x']], remove: ['host'] } as const;
    assert.deepEqual(editRequestHeaders(request, change), request);
  });
});
