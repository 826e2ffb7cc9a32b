import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatIpPort, type IpPort, parseIp } from '../../mesh/address.ts';
import type { PodDns } from '../../mesh/enrolment.ts';
import { MeshError } from '../../mesh/failures.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { readQuery } from '../../wire/dns-query.ts';
import { question } from '../test-support/name-server.ts';
import { ForwardError, Forwarder } from './forwarder.ts';

const at = (ip: string, port = 53): IpPort => ({ ip: parseIp(ip), port });
const [FIRST, SECOND] = [at('10.0.0.1'), at('10.0.0.2')];

/** The servers that are asked, in order, where none answers; then the reason it ends with. */
async function asked(settings: {
  servers?: readonly IpPort[];
  meant?: IpPort;
  own?: PodDns;
}): Promise<string[]> {
  const tried: string[] = [];
  const clock = new ManualClock();
  const forwarder = new Forwarder(
    { clock, randomId: () => 1 },
    settings.servers ?? [FIRST, SECOND],
  );
  const message = question('www.example');
  const reading = readQuery(message);
  assert.ok(reading.kind === 'query');
  const refuse = (): never => {
    throw new MeshError('UPSTREAM_CONNECT', 'nobody is there');
  };
  const sockets = {
    udp: refuse,
    dial: async ({ to }: { to: IpPort }) => {
      tried.push(formatIpPort(to));
      return refuse();
    },
  };
  await assert.rejects(
    forwarder.forward(
      { key: 'pod', sockets, dns: settings.own },
      {
        message,
        query: reading.query,
        transport: 'tcp',
        meant: settings.meant,
        signal: new AbortController().signal,
      },
    ),
    (error) => {
      assert.ok(error instanceof ForwardError, String(error));
      tried.push(error.reason);
      return true;
    },
  );
  assert.equal(forwarder.inFlight, 0);
  return tried;
}

describe('which name servers are asked', () => {
  const own = (order: PodDns['order'], ...servers: string[]): PodDns => ({
    servers: servers.map(parseIp),
    order,
    search: [],
  });

  test('the first two, each once; a lone one twice', async () => {
    assert.deepEqual(await asked({ servers: [FIRST, SECOND, at('10.0.0.3')] }), [
      '10.0.0.1:53',
      '10.0.0.2:53',
      'unreachable',
    ]);
    assert.deepEqual(await asked({ servers: [FIRST] }), [
      '10.0.0.1:53',
      '10.0.0.1:53',
      'unreachable',
    ]);
  });

  test('nobody when there is none', async () => {
    assert.deepEqual(await asked({ servers: [] }), ['no-server']);
  });

  test('the one that was meant comes first, and is not asked twice', async () => {
    assert.deepEqual(await asked({ meant: at('8.8.8.8') }), [
      '8.8.8.8:53',
      '10.0.0.1:53',
      'unreachable',
    ]);
    assert.deepEqual(await asked({ meant: SECOND }), ['10.0.0.2:53', '10.0.0.1:53', 'unreachable']);
  });

  test('one that would be ourselves is not meant', async () => {
    for (const meant of [at('127.0.0.1'), at('::1'), at('10.0.0.9', 15053)]) {
      assert.deepEqual(await asked({ meant, servers: [FIRST] }), [
        '10.0.0.1:53',
        '10.0.0.1:53',
        'unreachable',
      ]);
    }
  });

  test("the pod's own take the place of ours, or come after them", async () => {
    assert.deepEqual(await asked({ own: own('instead', '10.9.0.1', '10.9.0.2') }), [
      '10.9.0.1:53',
      '10.9.0.2:53',
      'unreachable',
    ]);
    assert.deepEqual(await asked({ servers: [FIRST], own: own('after', '10.9.0.1') }), [
      '10.0.0.1:53',
      '10.9.0.1:53',
      'unreachable',
    ]);
  });

  test('a server on the own loopback is the pod itself: ours answer in its place', async () => {
    assert.deepEqual(await asked({ servers: [FIRST, SECOND], own: own('instead', '127.0.0.1') }), [
      '10.0.0.1:53',
      '10.0.0.2:53',
      'unreachable',
    ]);
  });
});
