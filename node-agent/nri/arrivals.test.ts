// Arrivals over a capture and enrolments made by hand: what is done to a pod before it starts, and how long that may take.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EnrolmentReport } from '../../mesh/enrolment.ts';
import { silentLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import type { PodSandbox } from '../../wire/nri.ts';
import { type CaptureDriver, CaptureError } from '../capture/capture.ts';
import type { PodState } from '../enrolment-parts.ts';
import { enrolmentOf, HandmadeDiscovery } from '../test-support/world.ts';
import { type ArrivalOutcome, Arrivals } from './arrivals.ts';
import { Sandboxes } from './sandboxes.ts';

const WAIT_MS = 1000;
const PATIENCE = { ms: 1700, signal: new AbortController().signal };

const POD: PodSandbox = {
  id: 'sandbox-1',
  name: 'web',
  uid: 'uid-web',
  namespace: 'shop',
  labels: {},
  annotations: {},
  network: { kind: 'own', path: '/var/run/netns/x' },
  pid: 0,
  ips: ['10.0.0.7', 'nonsense'],
};

function setUp() {
  const clock = new ManualClock(0);
  const discovery = new HandmadeDiscovery();
  const steps: string[] = [];
  const outcomes: ArrivalOutcome[] = [];
  const reports: EnrolmentReport[] = [];
  const states = new Map<string, PodState>();
  const asked: string[] = [];
  const failure: { now: Error | undefined; hangs: boolean } = { now: undefined, hangs: false };
  let enabled = Promise.withResolvers<void>();
  const step = async (name: string): Promise<void> => {
    steps.push(name);
    if (failure.hangs && name === 'redirect') await new Promise(() => {});
    if (failure.now !== undefined && name === 'redirect') throw failure.now;
  };
  const capture: CaptureDriver = {
    async open(place) {
      steps.push(`open ${place.podUid} ${place.addresses.join(' ')}`);
      return {
        dial: () => assert.fail(),
        udp: () => assert.fail(),
        listen: () => assert.fail(),
        redirect: () => step('redirect'),
        verify: () => assert.fail(),
        release: () => assert.fail(),
        closeDoors: () => assert.fail(),
        remove: () => step('remove'),
        vanished: async () => false,
        close: () => step('close'),
      } as Awaited<ReturnType<CaptureDriver['open']>>;
    },
    close() {},
    leftovers: async () => [],
  };
  const sandboxes = new Sandboxes();
  const arrivals = new Arrivals(
    {
      clock,
      log: silentLog,
      capture,
      discovery,
      sandboxes,
      enrolments: {
        async enabled(podUid, signal) {
          const gaveUp = new Promise<void>((resolve) => {
            if (signal.aborted) resolve();
            else signal.addEventListener('abort', () => resolve());
          });
          await Promise.race([enabled.promise, gaveUp]);
          return states.get(podUid) === 'enabled';
        },
        state: (podUid) => states.get(podUid),
        lookAgain: (podUid) => void asked.push(`look ${podUid}`),
        renewed: (podUid) => void asked.push(`renewed ${podUid}`),
      },
      report: (report) => reports.push(report),
      counted: (outcome) => outcomes.push(outcome),
    },
    { waitMs: WAIT_MS },
  );
  return {
    clock,
    discovery,
    steps,
    outcomes,
    reports,
    states,
    asked,
    failure,
    sandboxes,
    arrivals,
    enable() {
      states.set(POD.uid, 'enabled');
      enabled.resolve();
      enabled = Promise.withResolvers();
    },
    mode: (mode: 'ambient' | 'none') =>
      discovery.push({ kind: 'namespace', namespace: { name: 'shop', mode } }),
  };
}

/** Whether it has ended once everything that can go on has gone on. */
async function hasEnded(work: Promise<unknown>): Promise<boolean> {
  let ended = false;
  const end = (): void => {
    ended = true;
  };
  void work.then(end, end);
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  return ended;
}

const ENCLOSING = ['open uid-web 10.0.0.7', 'redirect', 'close'];

describe('a pod that is being made', () => {
  test('is let start at once when it is not for the mesh', async () => {
    const { arrivals, steps, outcomes, mode } = setUp();
    mode('none');
    await arrivals.started(POD, PATIENCE);
    assert.deepEqual([steps, outcomes], [[], ['outside']]);
    assert.equal(arrivals.has(POD.uid), false);
    await arrivals.close();
  });

  test('starts when it is enrolled, its rules having been set first of all', async () => {
    const { arrivals, steps, outcomes, asked, mode, enable } = setUp();
    mode('ambient');
    const started = arrivals.started(POD, PATIENCE);
    assert.equal(await hasEnded(started), false);
    assert.deepEqual(steps, ENCLOSING);
    assert.deepEqual(asked, ['look uid-web']);
    enable();
    await started;
    assert.deepEqual(outcomes, ['enrolled']);
    assert.equal(arrivals.has(POD.uid), true);
    await arrivals.close();
  });

  test('starts enclosed after the wait, and its trouble is told when it lasts', async () => {
    const { arrivals, clock, outcomes, reports, states, mode } = setUp();
    mode('ambient');
    const started = arrivals.started(POD, PATIENCE);
    await hasEnded(started);
    await clock.advance(WAIT_MS);
    await started;
    assert.deepEqual(outcomes, ['enclosed']);
    assert.equal(arrivals.waiting(), 1);
    await clock.advance(5000);
    assert.deepEqual(
      reports.map((report) => report.state === 'failed' && report.reason),
      ['EnrolmentAwaited'],
    );
    assert.match(reports[0]?.state === 'failed' ? reports[0].message : '', /control plane/);
    states.set(POD.uid, 'enabled');
    assert.equal(arrivals.waiting(), 0);
    await arrivals.close();
  });

  test('that waits for its certificate says so, and one whose failure is told already says nothing', async () => {
    for (const [state, said] of [
      ['starting', /certificate/],
      ['failed', undefined],
    ] as const) {
      const { arrivals, clock, reports, states, mode } = setUp();
      mode('ambient');
      states.set(POD.uid, state);
      const started = arrivals.started(POD, PATIENCE);
      await hasEnded(started);
      await clock.advance(WAIT_MS);
      await started;
      await clock.advance(5000);
      const [report] = reports;
      if (said === undefined) assert.equal(report, undefined);
      else assert.match(report?.state === 'failed' ? report.message : '', said);
      await arrivals.close();
    }
  });

  test('does not start when its rules cannot be set, or not in time', async () => {
    const { arrivals, clock, failure, outcomes, mode } = setUp();
    mode('ambient');
    failure.now = new CaptureError('CaptureFailed', 'no nft');
    await assert.rejects(arrivals.started(POD, PATIENCE), { message: 'no nft' });
    failure.hangs = true;
    const hanging = assert.rejects(arrivals.started(POD, PATIENCE), /not set in the time/);
    await hasEnded(hanging);
    await clock.advance(PATIENCE.ms);
    await hanging;
    assert.deepEqual(outcomes, ['refused', 'refused']);
    assert.equal(arrivals.has(POD.uid), false);
    await arrivals.close();
  });

  test('of a namespace as new as itself waits for the word on it', async () => {
    const { arrivals, steps, mode } = setUp();
    const started = arrivals.started(POD, PATIENCE);
    assert.equal(await hasEnded(started), false);
    assert.deepEqual(steps, []);
    mode('ambient');
    await hasEnded(started);
    assert.deepEqual(steps, ENCLOSING);
    await arrivals.close();
    await started;
  });

  test('of a namespace nobody tells of starts after the wait, and is asked about before its first container only', async () => {
    const { arrivals, clock, steps, outcomes, mode, enable } = setUp();
    const started = arrivals.started(POD, PATIENCE);
    await hasEnded(started);
    await clock.advance(WAIT_MS);
    await started;
    assert.deepEqual([steps, outcomes], [[], ['undecided']]);
    mode('ambient');
    const first = arrivals.container(POD, PATIENCE);
    await hasEnded(first);
    enable();
    await first;
    await arrivals.container(POD, PATIENCE);
    assert.deepEqual(steps, ENCLOSING);
    assert.deepEqual(outcomes, ['undecided', 'enrolled']);
    await arrivals.close();
  });

  test('told of twice is enclosed once', async () => {
    const { arrivals, steps, mode, enable } = setUp();
    mode('ambient');
    const both = [arrivals.started(POD, PATIENCE)];
    await hasEnded(Promise.all(both));
    both.push(arrivals.started(POD, PATIENCE));
    await hasEnded(Promise.all(both));
    enable();
    await Promise.all(both);
    assert.deepEqual(steps, ENCLOSING);
    await arrivals.close();
  });

  test('whose sandbox is made anew is enclosed in the new one, and its enrolment is told', async () => {
    const { arrivals, steps, asked, mode, enable } = setUp();
    mode('ambient');
    const started = arrivals.started(POD, PATIENCE);
    await hasEnded(started);
    enable();
    await started;
    const again = arrivals.started({ ...POD, id: 'sandbox-2' }, PATIENCE);
    await hasEnded(again);
    enable();
    await again;
    assert.deepEqual(steps, [...ENCLOSING, ...ENCLOSING]);
    assert.ok(asked.includes('renewed uid-web'));
    // the end of the first comes late, as it does with a kubelet
    await arrivals.ended(POD);
    assert.equal(arrivals.has(POD.uid), true);
    await arrivals.ended({ ...POD, id: 'sandbox-2' });
    assert.equal(arrivals.has(POD.uid), false);
    await arrivals.close();
  });
});

describe('an enclosed pod', () => {
  async function enclosed() {
    const world = setUp();
    world.mode('ambient');
    const started = world.arrivals.started(POD, PATIENCE);
    await hasEnded(started);
    await world.clock.advance(WAIT_MS);
    await started;
    world.steps.length = 0;
    return world;
  }

  test('is let go when its namespace is not in the mesh any more', async () => {
    const { arrivals, steps, reports, mode } = await enclosed();
    arrivals.reconsider();
    assert.equal(arrivals.has(POD.uid), true);
    mode('none');
    arrivals.reconsider();
    await arrivals.close();
    assert.deepEqual(steps, ['open uid-web 10.0.0.7', 'remove', 'close']);
    assert.equal(reports.at(-1)?.state, 'removed');
    assert.equal(arrivals.has(POD.uid), false);
  });

  test('that ends without ever having been enrolled leaves no trace', async () => {
    const { arrivals, steps, sandboxes, reports } = await enclosed();
    await arrivals.ended(POD);
    await arrivals.ended(POD);
    await arrivals.close();
    assert.deepEqual(steps, ['open uid-web 10.0.0.7', 'remove', 'close']);
    assert.equal(sandboxes.get(POD.uid), undefined);
    assert.deepEqual(reports, []);
  });

  test('that ends with an enrolment is left to it', async () => {
    const { arrivals, steps, states, sandboxes } = await enclosed();
    states.set(POD.uid, 'enabled');
    await arrivals.ended(POD);
    await arrivals.close();
    assert.deepEqual(steps, []);
    assert.equal(sandboxes.get(POD.uid), undefined);
  });

  test('is left to its enrolment as long as there is one', async () => {
    const { arrivals, steps, states, discovery, mode } = await enclosed();
    discovery.push({
      kind: 'enrolment',
      enrolment: enrolmentOf({ name: 'web', uid: POD.uid, addresses: [] }),
    });
    states.set(POD.uid, 'leaving');
    mode('none');
    arrivals.reconsider();
    assert.deepEqual(steps, []);
    await arrivals.close();
  });

  test('is forgotten when the runtime, asked for everything, does not name it', async () => {
    const { arrivals, steps, asked } = await enclosed();
    arrivals.synchronized([POD]);
    assert.equal(arrivals.has(POD.uid), true);
    assert.equal(asked.at(-1), 'look uid-web');
    arrivals.synchronized([]);
    assert.equal(arrivals.has(POD.uid), false);
    assert.deepEqual(steps, []);
    await arrivals.close();
  });

  test('stays enclosed when the agent stops', async () => {
    const { arrivals, steps, clock, reports } = await enclosed();
    await arrivals.close();
    await clock.advance(60_000);
    assert.deepEqual([steps, reports], [[], []]);
  });
});
