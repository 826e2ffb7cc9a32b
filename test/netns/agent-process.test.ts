// The node agent as a process of its own, in a network of its own where its usual ports are free: how it is asked to end,
// and what it does when a port of its is taken. No control plane answers it, so it also shows what it does without one.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { entryPath } from '../../runtime/entry.ts';
import { Lan } from './lan.ts';
import { enterNamespaces } from './namespaces.ts';

type Line = Readonly<Record<string, unknown>>;
type Started = {
  readonly child: ChildProcess;
  readonly lines: Line[];
  /** The first line that says so; rejects when the process ends without it. */
  readonly said: (message: RegExp) => Promise<Line>;
  readonly ended: Promise<number | null>;
};

if (enterNamespaces(import.meta.filename)) {
  describe('the agent’s process', () => {
    const directory = mkdtempSync(join(tmpdir(), 'ambit-process-'));
    const running = new Set<ChildProcess>();
    let lan: Lan;
    before(() => {
      // loopback is what we want of it
      lan = new Lan();
    });
    after(() => {
      // of a test that failed
      for (const child of running) child.kill('SIGKILL');
      lan.close();
      rmSync(directory, { recursive: true });
    });

    function start(): Started {
      const child = spawn(process.execPath, [entryPath('node-agent/main')], {
        stdio: ['ignore', 'inherit', 'pipe'],
        env: {
          PATH: process.env['PATH'],
          NODE_NAME: 'node-a',
          AMBIT_CAPTURE: 'loopback',
          AMBIT_NRI: 'false',
          AMBIT_POD_NETNS_DIR: directory,
          AMBIT_CONTROL_PLANE_ADDRESS: '127.0.0.1:1',
          AMBIT_CA_ADDRESS: '127.0.0.1:1',
          AMBIT_TOKEN_FILE: join(directory, 'none'),
          AMBIT_ROOT_CERT_FILE: join(directory, 'none'),
        },
      });
      running.add(child);
      child.once('exit', () => running.delete(child));
      const lines: Line[] = [];
      const waiting = new Set<() => void>();
      const wake = (): void => {
        for (const one of waiting) one();
      };
      const reader = createInterface(child.stderr);
      reader.on('line', (line) => {
        lines.push(JSON.parse(line) as Line);
        wake();
      });
      const closed = once(reader, 'close');
      const ended = once(child, 'exit').then(([code]) => code as number | null);
      let over = false;
      void closed.then(() => {
        over = true;
        wake();
      });
      const said = async (message: RegExp): Promise<Line> => {
        for (;;) {
          const line = lines.find((one) => message.test(JSON.stringify(one)));
          if (line !== undefined) return line;
          if (over) throw new Error(`The agent ended without saying ${message}`);
          const { promise, resolve } = Promise.withResolvers<void>();
          waiting.add(resolve);
          await promise;
          waiting.delete(resolve);
        }
      };
      return { child, lines, said, ended: closed.then(() => ended) };
    }

    /** Answers once the agent's doors are open. */
    async function opened({ said }: Started): Promise<void> {
      // the first thing it cannot do comes after its doors
      await said(/control plane/);
      while (!(await isOpen())) {
        // each look is a round trip
      }
    }

    async function isOpen(): Promise<boolean> {
      return fetch('http://127.0.0.1:15021/healthz/ready').then(
        () => true,
        () => false,
      );
    }

    for (const [how, ask] of [
      ['SIGTERM', ({ child }: Started) => void child.kill('SIGTERM')],
      ['SIGINT', ({ child }: Started) => void child.kill('SIGINT')],
      [
        'POST /quitquitquit',
        async () => {
          const answer = await fetch('http://127.0.0.1:15000/quitquitquit', { method: 'POST' });
          assert.equal(answer.status, 200);
        },
      ],
    ] as const) {
      test(`ends at ${how}: it drains, closes its doors and exits with 0`, async () => {
        const agent = start();
        await opened(agent);
        await ask(agent);
        assert.equal(await agent.ended, 0);
        for (const last of ['Stopping', 'Drained', 'Stopped']) {
          assert.ok(
            agent.lines.some(({ message }) => message === last),
            last,
          );
        }
        assert.equal(await isOpen(), false);
      });
    }

    test('without a control plane is not ready, says what is missing, and answers to everything else', async () => {
      const agent = start();
      await opened(agent);
      const ready = await fetch('http://127.0.0.1:15021/healthz/ready');
      assert.equal(ready.status, 500);
      assert.match(await ready.text(), /^not ready, pending: .*first snapshot/);
      const metrics = await fetch('http://127.0.0.1:15020/stats/prometheus');
      assert.match(await metrics.text(), /^istio_build\{component="node-agent"/m);
      agent.child.kill('SIGTERM');
      assert.equal(await agent.ended, 0);
    });

    for (const [door, port] of [
      ['admin', 15000],
      ['metrics', 15020],
      ['ready', 15021],
    ] as const) {
      test(`whose port ${port} somebody else holds exits with 1 and names the ${door} door`, async () => {
        const foreign = createServer().listen(port, '0.0.0.0');
        await once(foreign, 'listening');
        const agent = start();
        assert.equal(await agent.ended, 1);
        assert.match(
          JSON.stringify(agent.lines),
          new RegExp(`Cannot open the ${door} door at [0-9.]+:${port}`),
        );
        foreign.close();
      });
    }
  });
}
