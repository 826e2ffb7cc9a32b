// The agent's settings: what a bare environment gives, and that every wrong one is named at once.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SettingsReader } from '../runtime/env.ts';
import { readAgentConfig } from './config.ts';

test('a node’s name is all that has no default', () => {
  const config = readAgentConfig(new SettingsReader({ NODE_NAME: 'node-1' }));
  assert.equal(config.capture, 'netns');
  assert.equal(config.drainDeadlineMs, 25_000);
  assert.equal(config.certificateTtlMs, 86_400_000);
  assert.equal(config.caAddress, 'ambit-ca.ambit-system.svc:15012');
  assert.deepEqual(config.admin, { host: '127.0.0.1', port: 15000, shared: true });
});

for (const [grace, deadlineMs] of [
  ['2h', 7_195_000],
  ['30s', 25_000],
  ['10s', 9000],
  ['1s', 1000],
] as const) {
  test(`of a grace of ${grace}, connections get ${deadlineMs} ms`, () => {
    const env = { NODE_NAME: 'n', AMBIT_TERMINATION_GRACE: grace };
    assert.equal(readAgentConfig(new SettingsReader(env)).drainDeadlineMs, deadlineMs);
  });
}

test('the container runtime is listened to where it usually is, for a second a pod, unless told not to', () => {
  const read = (env: Record<string, string>) =>
    readAgentConfig(new SettingsReader({ NODE_NAME: 'n', ...env })).nri;
  assert.deepEqual(read({}), { socket: '/var/run/nri/nri.sock', waitMs: 1000 });
  assert.deepEqual(read({ AMBIT_NRI_SOCKET: '/x', AMBIT_NRI_WAIT: '300ms' }), {
    socket: '/x',
    waitMs: 300,
  });
  assert.equal(read({ AMBIT_NRI: 'false' }), undefined);
});

test('metrics have a tunnel where a port is given for it only', () => {
  const read = (env: Record<string, string>) =>
    readAgentConfig(new SettingsReader({ NODE_NAME: 'n', ...env })).metricsTunnelDoor;
  assert.equal(read({}), undefined);
  const door = { host: '0.0.0.0', port: 15008, shared: true };
  assert.deepEqual(read({ AMBIT_METRICS_TUNNEL_PORT: '15008' }), door);
});

test('all wrong settings are told together', () => {
  const env = { AMBIT_CAPTURE: 'ebpf', AMBIT_DRAIN_DEADLINE: 'soon' };
  assert.throws(
    () => readAgentConfig(new SettingsReader(env)),
    /NODE_NAME(.|\n)*AMBIT_CAPTURE(.|\n)*AMBIT_DRAIN_DEADLINE/,
  );
});
