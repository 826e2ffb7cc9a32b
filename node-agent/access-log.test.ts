// The access log: the reference's fields in its order, in both forms; filters; early refusals.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import { type AccessFilter, EVERYTHING } from '../runtime/access-filter.ts';
import { createLog } from '../runtime/log.ts';
import { AccessLog } from './access-log.ts';
import { identityOf, serviceOf, workloadOf } from './test-support/world.ts';
import type { TrailFacts } from './trail-facts.ts';

const CLIENT = { name: 'client', uid: 'c', addresses: ['10.0.0.1'] };
const SERVER = { name: 'server', uid: 's', addresses: ['10.0.0.2'] };
const FACTS: TrailFacts = {
  direction: 'outbound',
  source: { ip: parseIp('10.0.0.1'), port: 40_000 },
  destination: { ip: parseIp('10.0.0.2'), port: 15008 },
  sourceWorkload: workloadOf(CLIENT),
  sourceIdentity: identityOf(CLIENT),
  destinationWorkload: workloadOf(SERVER, { namespace: 'back' }),
  destinationIdentity: identityOf(SERVER),
  service: serviceOf('web', '10.96.0.1', []),
  authority: '10.0.0.2:8080',
};
const COUNTS = { sent: 7, received: 9 };
const DENIED = new MeshError('POLICY_DENIED', 'denied by: shop/no');

function setUp(
  filter: Partial<AccessFilter> = {},
  settings: { format?: 'json' | 'text'; level?: 'info' | 'debug'; random?: () => number } = {},
) {
  const lines: string[] = [];
  const { random, ...rest } = settings;
  const log = createLog({ component: 'node-agent', ...rest, write: (line) => lines.push(line) });
  const parts = { log: log.child({ scope: 'access' }), ...(random && { random }) };
  return { lines, log, access: new AccessLog(parts, { ...EVERYTHING, ...filter }) };
}

describe('a line', () => {
  test('as text has the reference’s fields in its order, tab-separated, strings quoted', () => {
    const { access, lines } = setUp({}, { format: 'text' });
    access.ended({ facts: FACTS, counts: COUNTS }, 123, DENIED);
    const [time, level, scope, message, fields] = lines[0]!.trimEnd().split('\t');
    assert.match(time!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    assert.deepEqual([level, scope, message], ['error', 'access', 'connection complete']);
    assert.equal(
      fields,
      [
        'src.addr="10.0.0.1:40000"',
        'src.workload="client"',
        'src.namespace="shop"',
        'src.identity="spiffe://cluster.local/ns/shop/sa/client"',
        'src.cluster="Kubernetes"',
        'dst.addr="10.0.0.2:15008"',
        'dst.hbone_addr="10.0.0.2:8080"',
        'dst.service="web.shop.svc.cluster.local"',
        'dst.workload="server"',
        'dst.namespace="back"',
        'dst.identity="spiffe://cluster.local/ns/shop/sa/server"',
        'dst.cluster="Kubernetes"',
        'direction="outbound"',
        'bytes_sent=7',
        'bytes_recv=9',
        'duration="123ms"',
        'error="denied by: shop/no"',
        'flag="DENY"',
      ].join(' '),
    );
  });

  test('counts bytes as its side sees them: the destination sent the response', () => {
    const { access, lines } = setUp();
    access.ended({ facts: { ...FACTS, direction: 'inbound' }, counts: COUNTS }, 1, undefined);
    const { bytes_sent, bytes_recv } = JSON.parse(lines[0]!) as Record<string, number>;
    assert.deepEqual([bytes_sent, bytes_recv], [9, 7]);
  });

  test('of a beginning is for who asks for debug, of this scope alone', () => {
    const { access, lines, log } = setUp();
    access.opened({ facts: FACTS, counts: COUNTS });
    log.setLevel('debug', 'access');
    access.opened({ facts: FACTS, counts: COUNTS });
    log.debug('something else');
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as { message: string }).message),
      ['connection opened'],
    );
  });
});

describe('a filter', () => {
  const told = (filter: Partial<AccessFilter>, failure?: MeshError, random = 0.5): boolean => {
    const { access, lines } = setUp(filter, { random: () => random });
    access.ended({ facts: FACTS, counts: COUNTS }, 1, failure);
    return lines.length === 1;
  };
  for (const [what, filter, well, badly] of [
    ['nothing', {}, true, true],
    ['the namespace of the source', { namespaces: ['shop'] }, true, true],
    ['the namespace of the destination', { namespaces: ['back'] }, true, true],
    ['another namespace', { namespaces: ['other'] }, false, false],
    ['errors only', { errorsOnly: true }, false, true],
    ['the flag of the failure', { flags: ['CONNECT', 'DENY'] }, false, true],
    ['another flag', { flags: ['CONNECT'] }, false, false],
    ['what ended well', { flags: ['-'] }, true, false],
    ['a part of all, above the die', { sampling: 0.6 }, true, true],
    ['a part of all, below the die', { sampling: 0.4 }, false, true],
    ['no part at all', { sampling: 0 }, false, true],
  ] as const) {
    test(`for ${what}: ends that went well are ${well ? '' : 'not '}told, failures are ${badly ? '' : 'not '}told`, () => {
      assert.equal(told(filter), well);
      assert.equal(told(filter, DENIED), badly);
    });
  }
});
