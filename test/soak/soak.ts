// `npm run soak -- [--minutes N] [--seed N]`: a whole cluster under load while everything changes. It passes when no request
// and no connection was lost, no answer came from somebody else, and descriptors and heap are back at their start.
// Not a part of `npm test`: it takes as long as it is told to.

import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DAEMON_SETS, DEPLOYMENTS } from '../../runtime/kubernetes/resources.ts';
import { MODE, redirectionOfAll } from '../support/enrolled.ts';
import { type Sandbox, startSandbox } from '../support/sandbox.ts';
import { type Counts, faultsOf, openEchoes, startPod, tallyWhen } from '../support/traffic.ts';
import { changesOf } from './churn.ts';
import { grown, showVitals, vitalsOf } from './vitals.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
  },
});

/** Addresses pass from one to the other as pods come and go: a wrong delivery would show. */
const NAMESPACES = ['red', 'blue'] as const;
const SYSTEM = 'ambit-system';
/** Renewed at half life: every 20 s. */
const CERTIFICATE_TTL = '40s';
/** Longer than it takes everybody to hear that an echo leaves; the load's connections live one second. */
const LEAVE_SECONDS = 5;
const PAUSE_MS = 3000;
/** Connections of the last second end, and the pools' tunnels with them. */
const SETTLE_MS = 15_000;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<number> {
  const random = seeded(Number(values.seed));
  say(`Soaking for ${values.minutes} minutes, seed ${values.seed}`);
  const { sandbox, close } = await startSandbox([]);
  try {
    await prepare(sandbox);
    const before = await vitalsOf(sandbox);
    say(`At the start\n${showVitals(before)}`);
    const since = await Promise.all(NAMESPACES.map((name) => tally(sandbox, name)));
    const done = await churn(sandbox, random);
    await sleep(SETTLE_MS);
    const after = await vitalsOf(sandbox);
    say(`At the end\n${showVitals(after)}`);
    const problems = [...(await lossesIn(sandbox, since)), ...grown(before, after)];
    for (const [name, times] of done) say(`  ${times} x ${name}`);
    for (const problem of problems) say(`PROBLEM ${problem}`);
    say(problems.length === 0 ? 'Passed: nothing lost, nothing wrong, nothing grown' : 'Failed');
    return problems.length === 0 ? 0 : 1;
  } finally {
    await close();
  }
}

async function prepare(sandbox: Sandbox): Promise<void> {
  const { client } = sandbox;
  await client.patch(
    DAEMON_SETS,
    'ambit-node-agent',
    SYSTEM,
    {
      spec: {
        template: {
          spec: {
            containers: [
              {
                name: 'node-agent',
                env: [{ name: 'AMBIT_CERTIFICATE_TTL', value: CERTIFICATE_TTL }],
              },
            ],
          },
        },
      },
    },
    { type: 'strategic' },
  );
  await sandbox.rolledOut(SYSTEM);
  for (const name of NAMESPACES) {
    await openEchoes(sandbox, name, { [MODE]: 'ambient' });
    await client.patch(
      DEPLOYMENTS,
      'echo',
      name,
      {
        spec: {
          template: {
            spec: {
              terminationGracePeriodSeconds: 2 * LEAVE_SECONDS,
              containers: [
                { name: 'echo', lifecycle: { preStop: { sleep: { seconds: LEAVE_SECONDS } } } },
              ],
            },
          },
        },
      },
      { type: 'strategic' },
    );
    await sandbox.rolledOut(name);
    const echo = `echo.${name}.svc.cluster.local`;
    await startPod(sandbox, {
      namespace: name,
      name: 'load',
      image: 'load',
      variables: {
        URL: `http://${echo}:8080/`,
        EXPECT: name,
        RATE: '15',
        LINE_HOST: echo,
        CONNECTIONS: '10',
        LIFETIME: '1s',
      },
    });
    await redirectionOfAll(sandbox, name, 'enabled');
  }
}

async function churn(sandbox: Sandbox, random: () => number): Promise<Map<string, number>> {
  const until = Date.now() + Number(values.minutes) * 60_000;
  const changes = changesOf(sandbox, NAMESPACES, random);
  const done = new Map<string, number>();
  let last: string | undefined;
  while (Date.now() < until) {
    const change = changes[Math.floor(random() * changes.length)];
    if (change === undefined || change.name === last) continue;
    last = change.name;
    const began = Date.now();
    await change.run();
    done.set(change.name, (done.get(change.name) ?? 0) + 1);
    const lost = await Promise.all(NAMESPACES.map((name) => tally(sandbox, name)));
    say(
      `${new Date().toISOString()} ${change.name} (${Date.now() - began} ms) ${lost.map(brief).join(' | ')}`,
    );
    await sleep(PAUSE_MS);
  }
  return done;
}

function brief({ requests, connections, messages }: Counts): string {
  const { failed, wrong, ok } = requests;
  const { dropped, refused } = connections;
  return `${ok} ok, ${failed} failed, ${wrong + messages.wrong} wrong, ${dropped} dropped, ${refused} refused`;
}

async function lossesIn(sandbox: Sandbox, since: readonly Counts[]): Promise<string[]> {
  const problems: string[] = [];
  for (const [index, name] of NAMESPACES.entries()) {
    const now = await tally(sandbox, name);
    const from = since[index] ?? now;
    const lost = {
      failed: now.requests.failed - from.requests.failed,
      wrong: now.requests.wrong - from.requests.wrong + now.messages.wrong - from.messages.wrong,
      dropped: now.connections.dropped - from.connections.dropped,
      refused: now.connections.refused - from.connections.refused,
    };
    if (Object.values(lost).every((count) => count === 0)) continue;
    const faults = await faultsOf(sandbox, { namespace: name, name: 'load' });
    problems.push(`${name}: ${JSON.stringify(lost)} of ${now.requests.ok} requests\n${faults}`);
  }
  return problems;
}

function tally(sandbox: Sandbox, namespace: string): Promise<Counts> {
  return tallyWhen(sandbox, { namespace, name: 'load' }, () => true);
}

/** Mulberry32: a run can be repeated by its seed. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

process.exit(await main());
