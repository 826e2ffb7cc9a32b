// Enrolments with a capture made by hand: the order of steps in and out, failures, changes of mind.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import { CaptureError } from './capture/capture.ts';
import { GRACE_MS, OTHER, POD, setUp, WATCH_MS } from './test-support/enrolments.ts';
import { until } from './test-support/world.ts';

describe('Enrolments', () => {
  test('take a pod in: doors before redirection, and the report last', async () => {
    const { enrolments, steps, reports, certificates, end } = setUp();
    enrolments.apply([POD]);
    await enrolments.settled();
    assert.deepEqual(steps, ['web open', 'web listen', 'web redirect']);
    assert.deepEqual(
      reports.map(({ state }) => state),
      ['enabled'],
    );
    assert.equal([...certificates.held()][0]?.svid?.identity.serviceAccount, 'web');
    await end();
  });

  test('apply changed capture options to a pod that is in, and nothing when they are the same', async () => {
    const { enrolments, steps, options, reports, end } = setUp();
    enrolments.apply([POD]);
    await enrolments.settled();
    enrolments.apply([{ ...POD, capture: { ...POD.capture } }]);
    await enrolments.settled();
    const changed = { ...POD.capture, excludeOutboundPorts: [{ first: 25, last: 25 }] };
    steps.length = 0;
    enrolments.apply([{ ...POD, capture: changed }]);
    await until(() => reports.length === 2);
    assert.deepEqual(steps, ['web listen', 'web redirect']);
    assert.deepEqual(options, [POD.capture, changed]);
    assert.deepEqual([...enrolments.pods()][0]?.enrolment.capture, changed);
    await end();
  });

  test('look after the rules of a pod that is in, and count what had to be put back', async () => {
    const { enrolments, steps, changed, repaired, reports, clock, end } = setUp();
    enrolments.apply([POD]);
    await enrolments.settled();
    steps.length = 0;
    await clock.advance(10_000);
    await until(() => steps.length === 1);
    assert.deepEqual([steps, repaired], [['web verify'], []]);
    changed.set('web', 'rules-missing');
    await clock.advance(10_000);
    await until(() => repaired.length === 1);
    assert.deepEqual(repaired, ['rules-missing']);
    assert.deepEqual(
      reports.map(({ state }) => state),
      ['enabled'],
    );
    await end();
  });

  test('say so when the rules of a pod cannot be put back, and leave what is there', async () => {
    const { enrolments, steps, failures, reports, clock, end } = setUp();
    enrolments.apply([POD]);
    await enrolments.settled();
    failures.set('web verify', new CaptureError('CaptureFailed', 'no nft'));
    steps.length = 0;
    await clock.advance(10_000);
    await until(() => reports.length === 2);
    assert.equal(reports[1]?.state === 'failed' && reports[1].reason, 'CaptureFailed');
    assert.deepEqual(steps, ['web verify']);
    failures.clear();
    await clock.advance(2000);
    await until(() => reports.length === 3);
    assert.equal(reports[2]?.state, 'enabled');
    await end();
  });

  test('keep a pod captured whose changed options cannot be applied, and try again', async () => {
    const { enrolments, steps, failures, reports, clock, end } = setUp();
    enrolments.apply([POD]);
    await enrolments.settled();
    failures.set('web redirect', new CaptureError('CaptureFailed', 'no nft'));
    steps.length = 0;
    enrolments.apply([{ ...POD, capture: { ...POD.capture, bypassInbound: true } }]);
    await until(() => reports.length === 2);
    assert.equal(reports[1]?.state, 'failed');
    assert.deepEqual(steps, ['web listen', 'web redirect']);
    failures.clear();
    await clock.advance(2000);
    await until(() => reports.length === 3);
    assert.equal(reports[2]?.state, 'enabled');
    await end();
  });

  test('let a pod out: rules first, doors after the grace, all traces when nothing is open', async () => {
    const { enrolments, steps, reports, clock, certificates, left, end } = setUp();
    enrolments.apply([POD]);
    await enrolments.settled();
    steps.length = 0;
    enrolments.apply([]);
    await until(() => steps.length === 1);
    assert.deepEqual(steps, ['web release']);
    assert.equal(reports.length, 1);
    await clock.advance(GRACE_MS);
    await until(() => [...enrolments.pods()].length === 0);
    assert.deepEqual(steps, ['web release', 'web closeDoors', 'web remove', 'web close']);
    assert.deepEqual(
      reports.map(({ state }) => state),
      ['enabled', 'removed'],
    );
    assert.deepEqual(left, ['web']);
    assert.equal([...certificates.held()].length, 0);
    await end();
  });

  test('keep the rules of a pod that left while a connection is open', async () => {
    const { enrolments, steps, reports, clock, connections, end } = setUp();
    enrolments.apply([POD]);
    await enrolments.settled();
    const open = connections.register({
      direction: 'inbound',
      podUid: POD.podUid,
      description: {},
    });
    enrolments.apply([]);
    await until(() => steps.includes('web release'));
    await clock.advance(GRACE_MS);
    await until(() => reports.some(({ state }) => state === 'removed'));
    await clock.advance(3_600_000);
    assert.equal(open.signal.aborted, false);
    assert.equal(steps.includes('web remove'), false);
    open[Symbol.dispose]();
    await until(() => steps.includes('web close'));
    assert.ok(steps.includes('web remove'));
    await end();
  });

  test('take a pod back that is wanted again while it leaves', async () => {
    const { enrolments, steps, reports, connections, clock, end } = setUp();
    enrolments.apply([POD]);
    await enrolments.settled();
    using open = connections.register({
      direction: 'inbound',
      podUid: POD.podUid,
      description: {},
    });
    enrolments.apply([]);
    await until(() => steps.includes('web release'));
    await clock.advance(GRACE_MS);
    await until(() => reports.length === 2);
    enrolments.apply([POD]);
    await until(() => reports.length === 3);
    assert.equal(reports[2]?.state, 'enabled');
    assert.equal(open.signal.aborted, false);
    assert.deepEqual(steps.slice(-2), ['web listen', 'web redirect']);
    assert.equal(steps.filter((step) => step === 'web open').length, 1);
    await end();
  });

  for (const [step, reason] of [
    ['open', 'NoNetworkNamespace'],
    ['listen', 'PortTaken'],
    ['redirect', 'CaptureFailed'],
  ] as const) {
    test(`report ${reason} when "${step}" fails, leave nothing, and try again`, async () => {
      const { enrolments, steps, failures, reports, clock, end } = setUp();
      failures.set(`web ${step}`, new CaptureError(reason, `Cannot ${step} in pod shop/web`));
      enrolments.apply([POD, OTHER]);
      await enrolments.settled();
      const report = reports.find(({ name }) => name === 'web');
      assert.equal(report?.state === 'failed' && report.reason, reason);
      assert.equal(reports.find(({ name }) => name === 'api')?.state, 'enabled');
      if (step !== 'open') {
        const mine = steps.filter((one) => one.startsWith('web'));
        assert.deepEqual(mine.slice(-2), ['web remove', 'web close']);
      }
      failures.clear();
      await clock.advance(2000);
      await until(() => reports.at(-1)?.state === 'enabled' && reports.at(-1)?.name === 'web');
      await end();
    });
  }

  test('forget a pod that vanished without touching its namespace, and cut its connections', async () => {
    const { enrolments, steps, gone, reports, connections, end } = setUp();
    enrolments.apply([POD]);
    await enrolments.settled();
    const open = connections.register({
      direction: 'inbound',
      podUid: POD.podUid,
      description: {},
    });
    open.signal.addEventListener('abort', () => open[Symbol.dispose]());
    gone.add(POD.podUid);
    enrolments.apply([]);
    await until(() => [...enrolments.pods()].length === 0);
    assert.deepEqual(steps.slice(3), ['web closeDoors', 'web close']);
    assert.equal(reports.at(-1)?.state, 'removed');
    await end();
  });

  test('let a pod out that never got in', async () => {
    const { enrolments, failures, reports, end } = setUp();
    failures.set('web open', new CaptureError('NoNetworkNamespace', 'not there'));
    enrolments.apply([POD]);
    await enrolments.settled();
    enrolments.apply([]);
    await until(() => [...enrolments.pods()].length === 0);
    assert.equal(reports.at(-1)?.state, 'removed');
    await end();
  });

  test('wait in silence for a pod that has no address yet, and look again when told to', async () => {
    const { enrolments, steps, failures, reports, clock, end } = setUp();
    failures.set('web open', new CaptureError('NoNetworkNamespace', 'not there'));
    enrolments.apply([{ ...POD, addresses: [] }]);
    await enrolments.settled();
    assert.equal(reports.length, 0);
    assert.equal([...enrolments.pods()][0]?.state, 'waiting');
    await clock.advance(WATCH_MS);
    await until(() => steps.length === 2);
    assert.equal(reports.length, 0);
    failures.clear();
    enrolments.lookAgain(POD.podUid);
    await until(() => reports.at(-1)?.state === 'enabled');
    await end();
  });

  test("take a starting pod's addresses from the runtime until the control plane knows them", async () => {
    const { enrolments, told, places, reports, end } = setUp();
    told.addresses = [parseIp('10.0.0.1')];
    enrolments.apply([{ ...POD, addresses: [] }]);
    await enrolments.settled();
    assert.deepEqual(places, [['10.0.0.1']]);
    enrolments.apply([{ ...POD, addresses: [parseIp('10.0.0.2')] }]);
    await until(() => reports.length === 2);
    assert.deepEqual(places.at(-1), ['10.0.0.2']);
    await end();
  });

  test('take the steps anew in the namespace a pod was given anew, and do not count it as enrolled before', async () => {
    const { enrolments, steps, reports, left, end } = setUp();
    enrolments.apply([POD]);
    await enrolments.settled();
    enrolments.renewed(POD.podUid);
    assert.equal(enrolments.state(POD.podUid), 'waiting');
    assert.equal(await enrolments.enabled(POD.podUid, new AbortController().signal), true);
    assert.deepEqual(steps.slice(3), ['web close', 'web open', 'web listen', 'web redirect']);
    assert.deepEqual(left, ['web']);
    assert.equal(reports.length, 2);
    await end();
  });

  test('do not disturb a pod that is in when told to look again', async () => {
    const { enrolments, steps, end } = setUp();
    enrolments.apply([POD]);
    await enrolments.settled();
    steps.length = 0;
    enrolments.lookAgain(POD.podUid);
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(steps, []);
    await end();
  });

  test('say so when a pod that has an address has no network namespace', async () => {
    const { enrolments, failures, reports, end } = setUp();
    failures.set('web open', new CaptureError('NoNetworkNamespace', 'not there'));
    enrolments.apply([{ ...POD, addresses: [] }]);
    await enrolments.settled();
    enrolments.apply([POD]);
    await until(() => reports.at(-1)?.state === 'failed');
    await end();
  });

  test('know the newest enrolment of a pod, and go through the steps with the addresses that came', async () => {
    const { enrolments, steps, reports, end } = setUp();
    enrolments.apply([{ ...POD, addresses: [] }]);
    await enrolments.settled();
    enrolments.apply([POD]);
    assert.deepEqual(enrolments.local(POD.podUid)?.enrolment.addresses, POD.addresses);
    await until(() => reports.length === 2);
    assert.deepEqual(steps.slice(3), ['web listen', 'web redirect']);
    await end();
  });

  test('go through the steps again when more than addresses of an enrolled pod changed', async () => {
    const { enrolments, steps, reports, end } = setUp();
    enrolments.apply([POD]);
    await enrolments.settled();
    enrolments.apply([{ ...POD, workloadUid: 'another' }]);
    await until(() => reports.length === 2);
    assert.deepEqual(steps.slice(3), ['web listen', 'web redirect']);
    assert.equal([...enrolments.pods()][0]?.state, 'enabled');
    await end();
  });

  test('keep the rules of a pod that was enclosed before it started when a step fails', async () => {
    const { enrolments, steps, failures, enclosed, reports, end } = setUp();
    enclosed.add(POD.podUid);
    failures.set('web listen', new CaptureError('PortTaken', 'taken'));
    enrolments.apply([POD]);
    await enrolments.settled();
    assert.equal(reports.at(-1)?.state, 'failed');
    assert.equal(steps.includes('web remove'), false);
    assert.equal(steps.at(-1), 'web close');
    await end();
  });

  test('tell who waits for it that a pod is enrolled, and no longer than he wants', async () => {
    const { enrolments, failures, clock, end } = setUp();
    failures.set('web open', new CaptureError('NoNetworkNamespace', 'not there'));
    enrolments.apply([POD]);
    await enrolments.settled();
    const impatient = new AbortController();
    const given = enrolments.enabled(POD.podUid, impatient.signal);
    impatient.abort();
    assert.equal(await given, false);
    const waited = enrolments.enabled(POD.podUid, new AbortController().signal);
    failures.clear();
    await clock.advance(2000);
    assert.equal(await waited, true);
    assert.equal(await enrolments.enabled('nobody', AbortSignal.abort()), false);
    await end();
  });

  test('leave the rules alone when the agent stops', async () => {
    const { enrolments, steps, reports, end } = setUp();
    enrolments.apply([POD]);
    await enrolments.settled();
    await enrolments.drain();
    await end();
    assert.deepEqual(steps.slice(3), ['web closeDoors', 'web close']);
    assert.equal(reports.length, 1);
  });
});
