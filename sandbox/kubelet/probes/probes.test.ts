import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../../runtime/manual-clock.ts';
import type { ContainerSpec, ProbeSpec } from '../pod/pod-spec.ts';
import { probeContainer } from './probes.ts';

const SECOND = 1000;

type Story = {
  readonly clock: ManualClock;
  /** What happened, with the second at which it did. */
  readonly told: string[];
  /** Answers of later probes; the last one stays. */
  readonly answers: boolean[];
  end(): Promise<void>;
};

function begin(container: Partial<ContainerSpec>, answers: boolean[]): Story {
  const clock = new ManualClock();
  const told: string[] = [];
  const stop = new AbortController();
  const tell = (what: string): void => {
    told.push(`${clock.monotonic() / SECOND} ${what}`);
  };
  const running = probeContainer(
    container,
    {
      clock,
      run: async (probe) => {
        const ok = answers.length > 1 ? answers.shift() : answers[0];
        tell(`ask ${probe.exec?.command?.[0] ?? ''}`.trim());
        return ok === true ? { ok: true } : { ok: false, reason: 'no' };
      },
    },
    {
      onStarted: () => tell('started'),
      onReady: (ready) => tell(ready ? 'ready' : 'unready'),
      onDead: (kind) => tell(`dead ${kind}`),
      onFailure: () => tell('failure'),
    },
    stop.signal,
  );
  return {
    clock,
    told,
    answers,
    async end() {
      stop.abort();
      await running;
    },
  };
}

function probe(settings: Partial<ProbeSpec> = {}, name = ''): ProbeSpec {
  return { exec: { command: [name] }, ...settings };
}

async function pass(story: Story, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) await story.clock.advance(SECOND);
}

describe('probeContainer()', () => {
  test('without probes a container is started and ready at once', async () => {
    const story = begin({}, [true]);
    await story.end();
    assert.deepEqual(story.told, ['0 started', '0 ready']);
  });

  test('readiness is asked after its delay, each period, and tells only changes', async () => {
    const readinessProbe = probe({ initialDelaySeconds: 2, periodSeconds: 3, failureThreshold: 2 });
    const story = begin({ readinessProbe }, [true, true, false, false, true]);
    await pass(story, 15);
    await story.end();
    const changes = story.told.filter((line) => !/ask|failure/.test(line));
    assert.deepEqual(changes, ['0 started', '2 ready', '11 unready', '14 ready']);
    assert.equal(story.told.filter((line) => line.endsWith('ask')).length, 5);
  });

  test('a container that was never ready is asked more often at first, but told of once a period', async () => {
    const story = begin({ readinessProbe: probe() }, [...Array<boolean>(6).fill(false), true]);
    await pass(story, 3);
    await story.end();
    assert.deepEqual(
      story.told.filter((line) => !line.includes('ask')),
      ['0 started', '0 failure', '0.5 unready', '1.5 ready'],
    );
  });

  test('successThreshold counts successes in a row', async () => {
    const readinessProbe = probe({ periodSeconds: 1, successThreshold: 3 });
    const story = begin({ readinessProbe }, [true, true, false, true]);
    await pass(story, 6);
    await story.end();
    assert.ok(story.told.includes('5 ready'));
    assert.ok(!story.told.some((line) => line === '2 ready'));
  });

  test('liveness kills once, after failureThreshold failures in a row', async () => {
    const story = begin({ livenessProbe: probe() }, [false, false, true, false]);
    await pass(story, 80);
    await story.end();
    assert.deepEqual(
      story.told.filter((line) => line.includes('dead')),
      ['50 dead Liveness'],
    );
  });

  test('a startup probe holds back the others, and kills when it never passes', async () => {
    const startupProbe = probe({ periodSeconds: 1, failureThreshold: 5 }, 'startup');
    const livenessProbe = probe({ periodSeconds: 1 }, 'live');
    const passes = begin({ startupProbe, livenessProbe }, [false, false, true]);
    await pass(passes, 2);
    await passes.end();
    const first = passes.told.findIndex((line) => line.includes('live'));
    assert.ok(first > passes.told.indexOf('2 started'));

    const fails = begin({ startupProbe, livenessProbe }, [false]);
    await pass(fails, 10);
    await fails.end();
    assert.ok(fails.told.includes('4 dead Startup'));
    assert.ok(!fails.told.some((line) => line.includes('live') || line.includes('started')));
  });
});
