import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '../../runtime/clock.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { workloadOf } from '../test-support/world.ts';
import { countLookups } from './dns-metrics.ts';
import { sample } from './test-rig.ts';

describe('lookups for connections', () => {
  const client = workloadOf({ name: 'web', uid: 'u', addresses: [] });

  test('are counted by who connects and to what', async () => {
    const metrics = new Metrics();
    const count = countLookups({ metrics, clock: systemClock });
    count('db.example', client);
    count('db.example', client);
    count('db.example', undefined);
    const lines = await sample(metrics, 'istio_on_demand_dns_total{');
    assert.match(
      lines,
      /source_workload="web".*source_canonical_service="web".*hostname="db.example"} 2/,
    );
    assert.match(lines, /source_workload="unknown".*hostname="db.example"} 1/);
  });

  test('however many names there are, their series are not', async () => {
    const metrics = new Metrics();
    const count = countLookups({ metrics, clock: systemClock });
    for (let index = 0; index < 2500; index++) count(`host-${index}.example`, client);
    const lines = (await sample(metrics, 'istio_on_demand_dns_total{')).split('\n');
    assert.equal(lines.length, 2001);
    assert.match(lines.at(-1) ?? '', /hostname="unknown"} 500$/);
  });
});
