import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Bind, type Look, planView, quote } from './mount-view.ts';

/** A machine with these directories; a value is where a link leads. */
function machine(paths: Record<string, string>): Look {
  return (path) => {
    const found = paths[path];
    if (found === 'directory' || found === 'closed' || found === 'file') return found;
    return found === undefined ? undefined : { link: found };
  };
}

const look = machine({
  '/etc': 'directory',
  '/etc/passwd': 'file',
  '/etc/resolv.conf': '../run/systemd/resolve/stub-resolv.conf',
  '/var': 'directory',
  '/var/run': '/run',
  '/run': 'directory',
  '/tmp': 'directory',
  '/loop': 'loop',
  '/var/closed': 'closed',
});

function bind(target: string): Bind {
  return { source: '/src', kind: 'directory', target, readOnly: false };
}

describe('planView()', () => {
  for (const [target, path, overlays] of [
    ['/data', '/data', []],
    ['/data/deep', '/data/deep', []],
    ['/etc/config/x', '/etc/config/x', ['/etc']],
    ['/etc', '/etc', []],
    ['/var/run/secrets/t', '/run/secrets/t', []],
    ['/etc/resolv.conf', '/run/systemd/resolve/stub-resolv.conf', []],
    ['/etc/../data', '/data', []],
    ['/tmp/x/', '/tmp/x', ['/tmp']],
  ] as const) {
    test(`${target} is mounted at ${path}, with [${overlays.join(' ')}] covered`, () => {
      const view = planView([bind(target)], look);
      assert.equal(view.binds[0]?.target, path);
      assert.deepEqual(view.overlays, overlays);
    });
  }

  test('a directory that is not ours to look into is covered by an empty one', () => {
    const view = planView([bind('/var/closed/a/b')], look);
    assert.deepEqual([view.covers, view.overlays], [['/var/closed'], []]);
    assert.equal(view.binds[0]?.target, '/var/closed/a/b');
    assert.deepEqual(planView([bind('/var/closed')], look).covers, []);
  });

  test('outer targets are mounted before inner ones', () => {
    const view = planView([bind('/data/a/b'), bind('/data'), bind('/data/a')], look);
    assert.deepEqual(
      view.binds.map(({ target }) => target),
      ['/data', '/data/a', '/data/a/b'],
    );
  });

  for (const target of ['relative', '/etc/passwd/x', '/loop/x']) {
    test(`${target} is refused`, () =>
      assert.throws(() => planView([bind(target)], look), RangeError));
  }
});

test('a quoted text is one word of a shell, whatever it holds', () => {
  const text = fc.string({ unit: 'binary' }).filter((value) => !/[\0\uD800-\uDFFF\r]/u.test(value));
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 20 }), (words) => {
      const script = `printf '%s\\0' ${words.map(quote).join(' ')}`;
      const { stdout } = spawnSync('sh', ['-c', script], { encoding: 'utf8' });
      assert.deepEqual(stdout.split('\0').slice(0, -1), words);
    }),
    { numRuns: 20 },
  );
});
