import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findImage, imageName } from './images.ts';

const source = { entry: (program: string) => `/app/${program}.ts`, execPath: '/bin/node' };
const nothing = (): boolean => false;

describe('imageName()', () => {
  for (const [image, name] of [
    ['ambit-mesh/ca', 'ambit-mesh/ca'],
    ['ambit-mesh/ca:1.2', 'ambit-mesh/ca'],
    ['localhost:5000/ambit-mesh/ca:1.2', 'ambit-mesh/ca'],
    ['ghcr.io/ambit-mesh/ca@sha256:00ff', 'ambit-mesh/ca'],
    ['busybox', 'busybox'],
  ] as const) {
    test(`${image} is ${name}`, () => assert.equal(imageName(image), name));
  }
});

describe('findImage()', () => {
  test('our programs run with our own Node.js, whatever the tag', () => {
    assert.deepEqual(findImage('ambit-mesh/ca:dev', [], source, nothing), {
      kind: 'program',
      entrypoint: ['/bin/node', '/app/ca/main.ts'],
    });
  });

  test('any image is the host when its command is on this machine', () => {
    assert.equal(findImage('busybox', ['sleep', '1'], source, () => true).kind, 'host');
    assert.equal(findImage('sandbox/host', [], source, nothing).kind, 'host');
  });

  test('an unknown image says what is known and what is missing', () => {
    const bare = findImage('nginx', [], source, nothing);
    assert.ok(bare.kind === 'unknown');
    assert.match(bare.message, /no command is set.*ambit-mesh\/echo.*sandbox\/host/);
    const wrong = findImage('nginx', ['nginx'], source, nothing);
    assert.ok(wrong.kind === 'unknown');
    assert.match(wrong.message, /"nginx" is not on this machine/);
  });

  test('a name of Object.prototype is no image', () => {
    assert.equal(findImage('constructor', [], source, nothing).kind, 'unknown');
  });
});
