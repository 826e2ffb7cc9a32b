import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../runtime/clock.ts';
import { probeIsolation } from './isolation.ts';
import { type Launched, launch } from './launch.ts';
import { takeDown, takeStateDirectory } from './state-directory.ts';
import { plainContainer } from './test-support/plain-container.ts';

const INNER = new URL('test-support/inner-program.ts', import.meta.url).pathname;
const OUTER = new URL('test-support/outer-program.ts', import.meta.url).pathname;
const uid = process.getuid?.() ?? -1;

function stateHome(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'ambit-launch-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function start(
  t: TestContext,
  home: string,
  network: 'auto' | 'loopback',
  argument = '',
): Promise<Launched> {
  const launched = await launch(
    { clock: systemClock, report: () => {} },
    {
      name: 'test',
      network,
      program: [INNER, argument],
      uid,
      env: { ...process.env, XDG_STATE_HOME: home },
    },
  );
  t.after(() => launched.close());
  return launched;
}

const isolation = await probeIsolation({ uid, env: process.env });
const noNamespaces = isolation.mode === 'loopback' ? isolation.reason : false;
if (noNamespaces !== false)
  process.stderr.write(`SKIPPED tests of launches into namespaces: ${noNamespaces}\n`);

/** The number a process has outside of its namespace, found by what it runs. */
function processesOf(marker: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(marker);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Waits until the kernel has ended them; bounded by the test's own time limit. */
async function gone(marker: string): Promise<void> {
  while (processesOf(marker).length > 0) await systemClock.sleep(20);
}

async function firstLine(child: ChildProcess): Promise<Record<string, unknown>> {
  let text = '';
  for await (const part of child.stdout!) {
    text += String(part);
    if (text.includes('\n')) break;
  }
  return JSON.parse(text) as Record<string, unknown>;
}

for (const network of ['auto', 'loopback'] as const) {
  const skip = network === 'auto' ? noNamespaces : false;

  test(`${network}: the machine reaches the API server through a port of 127.0.0.1, and close leaves nothing`, {
    skip,
  }, async (t) => {
    const home = stateHome(t);
    const launched = await start(t, home, network);
    const details = await launched.ready;
    const isOwn = details['netns'] !== readlinkSync('/proc/self/ns/net');
    assert.equal(isOwn, network === 'auto');
    const socket = connect(launched.apiServer);
    socket.end('hello');
    let echoed = '';
    for await (const part of socket) echoed += String(part);
    assert.equal(echoed, 'hello');
    await launched.close();
    assert.equal(await launched.exited, 0);
    assert.equal(existsSync(launched.directory), false);
    await gone(home);
  });

  test(`${network}: a killed sandbox leaves only its state directory, which the next one cleans`, {
    skip,
  }, async (t) => {
    const home = stateHome(t);
    const outer = spawn(process.execPath, [OUTER, 'test', network], {
      env: { ...process.env, XDG_STATE_HOME: home },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const { directory } = await firstLine(outer);
    const over = once(outer, 'exit');
    outer.kill('SIGKILL');
    await over;
    await gone(home);
    assert.equal(existsSync(String(directory)), true);
    const again = await start(t, home, network);
    await again.ready;
    await again.close();
    assert.equal(existsSync(String(directory)), false);
  });

  test(`${network}: a sandbox that ends before it is up says so`, { skip }, async (t) => {
    const launched = await start(t, stateHome(t), network, '--fail');
    await assert.rejects(launched.ready, /ended with code 3 before it was up/);
  });
}

test('a killed sandbox goes also when its inner process hangs', {
  skip: noNamespaces,
}, async (t) => {
  const home = stateHome(t);
  const outer = spawn(process.execPath, [OUTER, 'test', 'auto', '--hang'], {
    env: { ...process.env, XDG_STATE_HOME: home },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await firstLine(outer);
  outer.kill('SIGKILL');
  await gone(home);
});

test('two sandboxes of one name do not run at once, of two names they do', async (t) => {
  const root = stateHome(t);
  const one = takeStateDirectory(root, 'one');
  const two = takeStateDirectory(root, 'two');
  assert.throws(
    () => takeStateDirectory(root, 'one'),
    /Sandbox "one" is already running \(process \d+\)/,
  );
  one.close();
  two.close();
  takeStateDirectory(root, 'one').close();
});

test('a name that is no label, or whose path is too long for a socket, is refused', (t) => {
  const root = stateHome(t);
  for (const name of ['', '../x', 'A', '-a', 'a'.repeat(41)]) {
    assert.throws(() => takeStateDirectory(root, name), /Cannot name a sandbox/);
  }
  assert.throws(
    () => takeStateDirectory(join(root, 'x'.repeat(60)), 'a'.repeat(40)),
    /too long for a socket/,
  );
});

test('down ends a running sandbox, and says when there is none', async (t) => {
  const home = stateHome(t);
  const outer = spawn(process.execPath, [OUTER, 'test', 'loopback'], {
    env: { ...process.env, XDG_STATE_HOME: home },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await firstLine(outer);
  const root = join(home, 'ambit', 'sandboxes');
  const over = once(outer, 'exit');
  assert.equal(await takeDown({ clock: systemClock }, root, 'test'), 'stopped');
  await over;
  assert.equal(await takeDown({ clock: systemClock }, root, 'test'), 'not-found');
  await gone(home);
});

test('where the kernel gives no namespaces the sandbox falls back to loopback mode and says why', async (t) => {
  const home = stateHome(t);
  const [program, ...args] = [...plainContainer(), process.execPath, OUTER, 'test', 'auto'];
  const outer = spawn(program, args, {
    env: { ...process.env, XDG_STATE_HOME: home },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = await firstLine(outer);
  assert.equal(said['mode'], 'loopback');
  assert.match(
    String(said['reports']),
    /The kernel gives us no namespaces .*: using loopback mode/,
  );
  const over = once(outer, 'exit');
  outer.kill('SIGTERM');
  await over;
});
