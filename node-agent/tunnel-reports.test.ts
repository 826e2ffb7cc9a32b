// TunnelReports: all is counted, not all is told.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { Metrics } from '../runtime/metrics.ts';
import { memoryLog } from './test-support/world.ts';
import { TunnelReports } from './tunnel-reports.ts';

const AT = { ip: parseIp('10.0.0.1'), port: 15008 };

test('refusals and losses are counted with their reason, and told 20 times a second at most', async () => {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const { log, lines } = memoryLog();
  const reports = new TunnelReports({ clock, log, metrics });
  const told = { source: AT, destination: AT, direction: 'inbound' } as const;
  const full = new MeshError('HANDSHAKE_LIMIT', 'full');
  for (let i = 0; i < 50; i++) reports.refused({ ...told, error: full });
  assert.equal(lines.length, 20);
  await clock.advance(1000);
  reports.lost({ ...told, error: new MeshError('TUNNEL_FLOODED', 'flooded') });
  assert.equal(lines.length, 22);
  assert.equal(lines[20]?.['more'], 30);
  assert.equal(lines[21]?.['message'], 'tunnel lost');
  const text = await metrics.text();
  assert.match(text, /refused_total\{response_flags="OVERLOAD",reason="HANDSHAKE_LIMIT"\} 50/);
  assert.match(text, /lost_total\{direction="inbound",reason="TUNNEL_FLOODED"\} 1/);
});
