import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostResolver } from './resolve-host.ts';
import { responseTo, startNameServer } from './test-support/name-server.ts';

const LASTING = new AbortController().signal;

test('both families are asked of the servers that are set, with their times', async () => {
  const server = await startNameServer(({ packet }) => {
    const [asked] = packet.questions ?? [];
    const name = asked?.name ?? '';
    return [
      responseTo(packet, {
        answers:
          asked?.type === 'A'
            ? [{ type: 'A', name, ttl: 7, data: '192.0.2.1' }]
            : [{ type: 'AAAA', name, ttl: 9, data: 'fd00::1' }],
      }),
    ];
  });
  try {
    const records = await hostResolver([server.at])('db.example', LASTING);
    assert.deepEqual(records, [
      { ip: '192.0.2.1', ttlSeconds: 7 },
      { ip: 'fd00::1', ttlSeconds: 9 },
    ]);
  } finally {
    await server.close();
  }
});

test('a name without addresses is a failure', async () => {
  const server = await startNameServer(({ packet }) => [responseTo(packet, { flags: 0x8183 })]);
  try {
    await assert.rejects(hostResolver([server.at])('db.example', LASTING), { code: 'ENOTFOUND' });
  } finally {
    await server.close();
  }
});
