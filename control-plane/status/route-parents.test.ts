// RouteParentWriter: an entry for each parent of ours, exactly; what others wrote stays, and nothing moves back.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CONTROLLER_NAME } from '../../mesh/waypoint.ts';
import { KubeError } from '../../runtime/kubernetes/client.ts';
import { MemoryKube } from '../../runtime/kubernetes/memory.ts';
import { HTTP_ROUTES } from '../../runtime/kubernetes/resources.ts';
import type {
  HttpRouteObject,
  ParentReference,
  RouteParentStatus,
} from '../../runtime/kubernetes/route-objects.ts';
import { silentLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import type { Finding } from '../translate/outcome.ts';
import type { ParentOutcome, RouteOutcome } from '../translate/routes/findings.ts';
import { nextParents, RouteParentWriter } from './route-parents.ts';

const ACCEPTED: Finding = { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'ok' };
const RESOLVED: Finding = { ...ACCEPTED, type: 'ResolvedRefs', reason: 'ResolvedRefs' };
const PARTIAL: Finding = { ...ACCEPTED, type: 'PartiallyInvalid', reason: 'UnsupportedValue' };
const REFUSED: Finding = { ...ACCEPTED, status: 'False', reason: 'NoMatchingParent' };
const WEB: ParentReference = { group: '', kind: 'Service', name: 'web', port: 80 };
const API: ParentReference = { group: '', kind: 'Service', name: 'api' };
const FOREIGN: RouteParentStatus = {
  parentRef: WEB,
  controllerName: 'other.test/controller',
  conditions: [{ type: 'Accepted', status: 'False', reason: 'No', observedGeneration: 7 }],
};

const says = (parentRef: ParentReference, ...findings: Finding[]): ParentOutcome => ({
  parentRef,
  findings,
});

async function setup(status?: NonNullable<HttpRouteObject['status']>) {
  const client = new MemoryKube();
  const clock = new ManualClock();
  const results: string[] = [];
  const writer = new RouteParentWriter({
    client,
    clock,
    log: silentLog,
    isLeader: () => true,
    count: (_, result) => results.push(result),
  });
  await client.create<HttpRouteObject>(HTTP_ROUTES, {
    metadata: { name: 'r', namespace: 'shop', generation: 1 },
    spec: { parentRefs: [WEB], hostnames: ['kept.test'] },
    ...(status === undefined ? {} : { status }),
  });
  const read = async (): Promise<HttpRouteObject> =>
    (await client.get<HttpRouteObject>(HTTP_ROUTES, 'r', 'shop')) ?? assert.fail('gone');
  const wish = async (...parents: ParentOutcome[]): Promise<RouteOutcome> => ({
    resource: HTTP_ROUTES,
    object: await read(),
    parents,
  });
  const updates = () => client.calls.filter((call) => call.startsWith('update')).length;
  const change = (patch: object) => client.patch(HTTP_ROUTES, 'r', 'shop', patch);
  return { client, clock, writer, read, wish, updates, change, results };
}
const parentsOf = ({ status }: HttpRouteObject): readonly RouteParentStatus[] =>
  status?.parents ?? [];

describe('RouteParentWriter', () => {
  test('writes an entry for each parent, once, and leaves the rest of the object alone', async () => {
    const { writer, clock, wish, read, updates } = await setup();
    writer.wish([await wish(says(WEB, ACCEPTED, RESOLVED), says(API, REFUSED))]);
    await clock.advance(3000);
    const condition = { lastTransitionTime: '2023-11-14T22:13:20Z', observedGeneration: 1 };
    assert.deepEqual(parentsOf(await read()), [
      {
        parentRef: WEB,
        controllerName: CONTROLLER_NAME,
        conditions: [
          { ...ACCEPTED, ...condition },
          { ...RESOLVED, ...condition },
        ],
      },
      {
        parentRef: API,
        controllerName: CONTROLLER_NAME,
        conditions: [{ ...REFUSED, ...condition }],
      },
    ]);
    assert.deepEqual((await read()).spec?.hostnames, ['kept.test']);
    writer.wish([await wish(says(WEB, ACCEPTED, RESOLVED), says(API, REFUSED))]);
    await clock.advance(10_000);
    assert.equal(updates(), 1);
    await writer.close();
  });

  test('entries of other controllers stay, ours go with their parents', async () => {
    const { writer, clock, wish, read } = await setup({ parents: [FOREIGN] });
    writer.wish([await wish(says(WEB, ACCEPTED), says(API, ACCEPTED))]);
    await clock.advance(3000);
    assert.deepEqual(
      parentsOf(await read()).map(({ controllerName, parentRef }) => [controllerName, parentRef]),
      [
        [FOREIGN.controllerName, WEB],
        [CONTROLLER_NAME, WEB],
        [CONTROLLER_NAME, API],
      ],
    );
    writer.wish([await wish()]);
    await clock.advance(3000);
    assert.deepEqual(parentsOf(await read()), [FOREIGN]);
    await writer.close();
  });

  test('a condition of ours that is not so any more goes; one of somebody else’s in our entry stays', async () => {
    const { writer, clock, wish, read, change } = await setup();
    writer.wish([await wish(says(WEB, ACCEPTED, PARTIAL))]);
    await clock.advance(3000);
    const [entry] = parentsOf(await read());
    const audited = { type: 'Audited', status: 'True' } as const;
    const conditions = [...(entry?.conditions ?? []), audited];
    await change({ status: { parents: [{ ...entry, conditions }] } });
    writer.wish([await wish(says(WEB, ACCEPTED))]);
    await clock.advance(3000);
    assert.deepEqual(
      parentsOf(await read())[0]?.conditions?.map(({ type }) => type),
      ['Accepted', 'Audited'],
    );
    await writer.close();
  });

  test('a new generation is told in every condition; the time moves with the status only', async () => {
    const { writer, clock, wish, read, change } = await setup();
    writer.wish([await wish(says(WEB, ACCEPTED, RESOLVED))]);
    await clock.advance(5000);
    await change({ metadata: { generation: 2 } });
    writer.wish([await wish(says(WEB, ACCEPTED, { ...RESOLVED, status: 'False' }))]);
    await clock.advance(5000);
    const [accepted, resolved] = parentsOf(await read())[0]?.conditions ?? [];
    assert.deepEqual([accepted?.observedGeneration, resolved?.observedGeneration], [2, 2]);
    assert.equal(accepted?.lastTransitionTime, '2023-11-14T22:13:20Z');
    assert.notEqual(resolved?.lastTransitionTime, accepted?.lastTransitionTime);
    await writer.close();
  });

  test('what is said of a newer spec is not taken back', async () => {
    const { writer, clock, wish, read, updates, change } = await setup();
    const stale = await wish(says(WEB, REFUSED));
    await change({ metadata: { generation: 2 } });
    writer.wish([await wish(says(WEB, ACCEPTED))]);
    await clock.advance(5000);
    writer.wish([stale]);
    await clock.advance(10_000);
    assert.equal(parentsOf(await read())[0]?.conditions?.[0]?.observedGeneration, 2);
    assert.equal(updates(), 1);
    await writer.close();
  });

  test('who loses a race reads again: both have their entries', async () => {
    const { client, writer, clock, wish, read, change, results } = await setup();
    const update = client.update.bind(client);
    let races = 2;
    client.update = async (resource, object) => {
      if (races-- > 0) await change({ status: { parents: [{ ...FOREIGN, races }] } });
      return update(resource, object);
    };
    writer.wish([await wish(says(WEB, ACCEPTED))]);
    await clock.advance(5000);
    assert.deepEqual(
      parentsOf(await read()).map(({ controllerName }) => controllerName),
      [FOREIGN.controllerName, CONTROLLER_NAME],
    );
    assert.deepEqual(results, ['written']);
    await writer.close();
  });

  test('who loses every time tries again later', async () => {
    const { client, writer, clock, wish, read, results } = await setup();
    const update = client.update.bind(client);
    client.update = async () => {
      throw new KubeError(409, 'Conflict', 'somebody was quicker');
    };
    writer.wish([await wish(says(WEB, ACCEPTED))]);
    await clock.advance(100);
    assert.deepEqual(results, ['failed']);
    client.update = update;
    for (let i = 0; i < 10; i++) await clock.advance(1000);
    assert.equal(parentsOf(await read()).length, 1);
    await writer.close();
  });

  test('an object that is gone, or was made anew, is not written', async () => {
    const { client, writer, clock, wish, read, updates, results } = await setup();
    const wished = await wish(says(WEB, ACCEPTED));
    await client.delete(HTTP_ROUTES, 'r', 'shop');
    writer.wish([wished]);
    await clock.advance(100);
    await client.create(HTTP_ROUTES, { metadata: { name: 'r', namespace: 'shop', generation: 1 } });
    writer.wish([{ ...wished, parents: [says(WEB, REFUSED)] }]);
    await clock.advance(5000);
    assert.deepEqual([updates(), results], [0, ['gone', 'gone']]);
    assert.deepEqual(parentsOf(await read()), []);
    await writer.close();
  });
});

describe('nextParents()', () => {
  const ref = fc.constantFrom(WEB, API, { name: 'front', namespace: 'infra' });
  const finding = fc.constantFrom(ACCEPTED, RESOLVED, REFUSED, PARTIAL);
  const wished = fc
    .uniqueArray(ref, { maxLength: 3 })
    .chain((refs) =>
      fc.tuple(
        ...refs.map((one) =>
          fc
            .uniqueArray(finding, { selector: ({ type }) => type, maxLength: 3 })
            .map((findings) => says(one, ...findings)),
        ),
      ),
    );
  const foreign = fc
    .uniqueArray(ref, { maxLength: 2 })
    .map((refs) => refs.map((parentRef): RouteParentStatus => ({ ...FOREIGN, parentRef })));

  test('ends with what others had and what is wished, whatever stood there, and a second time changes nothing', () => {
    fc.assert(
      fc.property(foreign, wished, wished, (others, before, now) => {
        const present = nextParents(others, before, 1, 'then');
        const next = nextParents(present, now, 2, 'now');
        const isOwn = (one: RouteParentStatus) => one.controllerName === CONTROLLER_NAME;
        assert.deepEqual(
          next.filter((one) => !isOwn(one)),
          others,
        );
        assert.deepEqual(
          new Set(next.filter(isOwn).map((one) => JSON.stringify(one.parentRef))),
          new Set(now.map((one) => JSON.stringify(one.parentRef))),
        );
        assert.ok(
          next
            .filter(isOwn)
            .every(({ conditions = [] }) =>
              conditions.every((one) => one.observedGeneration === 2),
            ),
        );
        assert.deepEqual(nextParents(next, now, 2, 'later'), next);
      }),
    );
  });
});
