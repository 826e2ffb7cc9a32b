import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { commandLine, expand } from './command.ts';

const variables = new Map([
  ['NAME', 'web'],
  ['EMPTY', ''],
]);

describe('expand()', () => {
  for (const [text, expected] of [
    ['hello $(NAME)', 'hello web'],
    ['$(EMPTY)x', 'x'],
    ['$(NOBODY) stays', '$(NOBODY) stays'],
    ['$$(NAME) is escaped', '$(NAME) is escaped'],
    ['$NAME and $( are plain', '$NAME and $( are plain'],
    ['$(NAME', '$(NAME'],
  ] as const) {
    test(`"${text}" becomes "${expected}"`, () => assert.equal(expand(text, variables), expected));
  }

  test('text without a dollar is never changed', () => {
    const plain = fc.string().filter((text) => !text.includes('$'));
    fc.assert(fc.property(plain, (text) => expand(text, variables) === text));
  });
});

describe('commandLine()', () => {
  const program = { kind: 'program', entrypoint: ['node', 'main.ts'] } as const;
  const host = { kind: 'host' } as const;

  test('args replace the cmd of an image and keep its entrypoint', () => {
    assert.deepEqual(commandLine(program, { args: ['--for', '$(NAME)'] }, variables), [
      'node',
      'main.ts',
      '--for',
      'web',
    ]);
  });

  test('command replaces the entrypoint', () => {
    const container = { command: ['sh', '-c'], args: ['exit'] };
    assert.deepEqual(commandLine(program, container, variables), ['sh', '-c', 'exit']);
  });

  test('a host image without command runs its args, and nothing without them', () => {
    assert.deepEqual(commandLine(host, { args: ['ls'] }, variables), ['ls']);
    assert.deepEqual(commandLine(host, {}, variables), []);
  });
});
