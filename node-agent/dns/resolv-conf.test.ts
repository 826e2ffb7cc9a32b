import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { formatIpPort } from '../../mesh/address.ts';
import { memoryLog } from '../test-support/world.ts';
import { parseNameServers, podNameServers } from './resolv-conf.ts';

async function serversOf(resolvConf: string): Promise<string[] | undefined> {
  const directory = await mkdtemp(join(tmpdir(), 'ambit-resolv-'));
  try {
    const file = join(directory, 'resolv.conf');
    await writeFile(file, resolvConf);
    const { log } = memoryLog();
    return (await podNameServers({ log }, { configured: [], resolvConf: file }))?.map(formatIpPort);
  } finally {
    await rm(directory, { recursive: true });
  }
}

describe('the name servers of pods', () => {
  test('the setting takes addresses with and without port, and nothing else', () => {
    assert.deepEqual(
      parseNameServers('10.96.0.10, 10.0.0.1:5353,fd00::a,[fd00::b]:54').map(formatIpPort),
      ['10.96.0.10:53', '10.0.0.1:5353', '[fd00::a]:53', '[fd00::b]:54'],
    );
    for (const text of ['dns.example', 'dns.example:53', '10.0.0.1:0', '10.0.0.1:99999', '10.0.0'])
      assert.throws(() => parseNameServers(text), SyntaxError, text);
  });

  test('resolv.conf gives the first three it names, in order', async () => {
    const text =
      'search a b\nnameserver 10.0.0.1\n#nameserver 10.0.0.9\n nameserver\tfd00::a # x\nnameserver x\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n';
    assert.deepEqual(await serversOf(text), ['10.0.0.1:53', '[fd00::a]:53', '10.0.0.3:53']);
  });

  test("the node's own resolver on loopback is none: a pod would ask itself", async () => {
    assert.deepEqual(await serversOf('nameserver 127.0.0.53\nnameserver 10.0.0.1\n'), [
      '10.0.0.1:53',
    ]);
  });

  test('without any server no DNS is captured, and the log says what to do', async () => {
    assert.equal(await serversOf('nameserver 127.0.0.53\n'), undefined);
    const { log, lines } = memoryLog();
    assert.equal(
      await podNameServers({ log }, { configured: [], resolvConf: '/nowhere' }),
      undefined,
    );
    assert.match(JSON.stringify(lines), /set AMBIT_DNS_UPSTREAM/);
  });
});
