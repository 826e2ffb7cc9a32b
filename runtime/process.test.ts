// A whole process: how it ends, with which code, and what does not end it.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';

const PROCESS = new URL('./process.ts', import.meta.url).href;
const ENV = new URL('./env.ts', import.meta.url).href;

type Line = { readonly level: string; readonly message: string; readonly error?: unknown };
type Outcome = { readonly code: number | null; readonly lines: readonly Line[] };

/** `main` is the body of the component's main function; `act` sees each line as it comes. */
async function outcomeOf(
  main: string,
  act: (line: Line, child: ChildProcess) => void = () => {},
): Promise<Outcome> {
  const script = `
    import { run } from ${JSON.stringify(PROCESS)};
    import { ConfigError } from ${JSON.stringify(ENV)};
    const stopped = (stop) => new Promise((resolve) => {
      const alive = setInterval(() => {}, 60_000);
      stop.addEventListener('abort', () => { clearInterval(alive); resolve(); });
    });
    run('test', async ({ log, stop, quit }) => { ${main} });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {},
  });
  const lines: Line[] = [];
  let rest = '';
  const read = (bytes: Buffer): void => {
    rest += bytes.toString();
    const whole = rest.split('\n');
    rest = whole.pop() ?? '';
    for (const text of whole) {
      const line = JSON.parse(text) as Line;
      lines.push(line);
      act(line, child);
    }
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, lines };
}

const says = (lines: readonly Line[], message: string): Line | undefined =>
  lines.find((line) => line.message === message);

describe('a process', () => {
  test('goes on after what nobody caught, in a callback and in a promise, and says each', async () => {
    const { code, lines } = await outcomeOf(
      `setImmediate(() => { throw new Error('thrown in a callback'); });
       setImmediate(() => { void Promise.reject(new Error('rejected for nobody')); });
       setImmediate(() => setImmediate(() => log.info('still here')));
       await stopped(stop);`,
      ({ message }, child) => {
        if (message === 'still here') child.kill('SIGTERM');
      },
    );
    assert.equal(code, 0);
    assert.match(JSON.stringify(says(lines, 'Uncaught exception')), /thrown in a callback/);
    assert.match(JSON.stringify(says(lines, 'Unhandled rejection')), /rejected for nobody/);
    assert.ok(says(lines, 'Stopped'));
  });

  test('that fails ends with 1, with wrong settings 2, and says why', async () => {
    const failed = await outcomeOf(`throw new Error('no way');`);
    assert.equal(failed.code, 1);
    assert.match(JSON.stringify(says(failed.lines, 'Failed')), /no way/);
    const wrong = await outcomeOf(`throw new ConfigError('AMBIT_X must be a number');`);
    assert.equal(wrong.code, 2);
    assert.match(JSON.stringify(wrong.lines), /AMBIT_X must be a number/);
  });

  test('stops politely at the first signal, and at once at the second', async () => {
    const { code, lines } = await outcomeOf(
      `setInterval(() => {}, 60_000);
       log.info('up');
       await stopped(stop);
       log.info('leaving');
       await new Promise(() => {});`,
      ({ message }, child) => {
        if (message === 'up' || message === 'leaving') child.kill('SIGTERM');
      },
    );
    assert.equal(code, 1);
    assert.ok(says(lines, 'leaving'));
    assert.equal(says(lines, 'Stopped'), undefined);
  });

  test('asked to quit from within ends as by a signal', async () => {
    const { code, lines } = await outcomeOf(
      `const end = stopped(stop); quit('a request'); await end;`,
    );
    assert.equal(code, 0);
    assert.match(JSON.stringify(says(lines, 'Stopping')), /a request/);
  });
});
