import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CAPTURE_EVERYTHING } from '../mesh/capture-options.ts';
import { ANY_ENROLMENT, ANY_MESH_NAMESPACE } from '../mesh/test-arbitraries.ts';
import {
  type ClientFrame,
  decodeClientFrame,
  decodeEnrolment,
  decodeNamespace,
  decodeServerFrame,
  encodeClientFrame,
  encodeEnrolment,
  encodeNamespace,
  encodeServerFrame,
  type ServerFrame,
} from './discovery.ts';
import { DecodeError } from './protobuf.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const field = (number: number, body: Buffer | string): Buffer => {
  const length =
    body.length < 0x80 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7];
  return Buffer.concat([Buffer.of((number << 3) | 2, ...length), Buffer.from(body)]);
};
const join = (...parts: Buffer[]): Buffer => Buffer.concat(parts);

const REQUEST_BYTES = field(
  1,
  join(
    field(1, join(field(1, 'agent'), field(2, 'k'))),
    field(2, 'type'),
    field(3, '*'),
    field(4, 'a'),
    field(5, join(field(1, 'name'), field(2, 'v1'))),
    field(6, 'n1'),
    field(7, join(hex('08 03'), field(2, 'bad'))),
  ),
);
const REQUEST: ClientFrame = {
  kind: 'discovery',
  request: {
    node: { id: 'agent', cluster: 'k' },
    typeUrl: 'type',
    subscribe: ['*'],
    unsubscribe: ['a'],
    initialVersions: new Map([['name', 'v1']]),
    nonce: 'n1',
    error: { code: 3, message: 'bad' },
  },
};
const REPORT_BYTES = field(
  2,
  join(
    field(1, 'u1'),
    field(2, 'web'),
    field(3, 'shop'),
    hex('20 03'),
    field(5, 'PortTaken'),
    field(6, 'no'),
  ),
);
const REPORT: ClientFrame = {
  kind: 'report',
  report: {
    podUid: 'u1',
    name: 'web',
    namespace: 'shop',
    state: 'failed',
    reason: 'PortTaken',
    message: 'no',
  },
};
const RESPONSE_BYTES = field(
  1,
  join(
    field(1, 'sys'),
    field(
      2,
      join(
        field(1, 'v1'),
        field(2, join(field(1, 'type'), field(2, hex('00ff')))),
        field(3, 'name'),
        field(4, 'x'),
      ),
    ),
    field(4, 'type'),
    field(5, 'n1'),
    field(6, 'gone'),
  ),
);
const RESPONSE: ServerFrame = {
  kind: 'discovery',
  response: {
    systemVersion: 'sys',
    typeUrl: 'type',
    resources: [
      { name: 'name', version: 'v1', aliases: ['x'], typeUrl: 'type', body: hex('00ff') },
    ],
    removed: ['gone'],
    nonce: 'n1',
  },
};

// names a careless object would trip over are names like any other
const text = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.constantFrom('toString', 'constructor', 'hasOwnProperty'),
);
const texts = fc.array(text, { maxLength: 4 });
const PLAIN = { noNullPrototype: true } as const;
const ANY_CLIENT_FRAME: fc.Arbitrary<ClientFrame> = fc.oneof(
  fc
    .record(
      {
        node: fc.option(fc.record({ id: text, cluster: text }, PLAIN), { nil: undefined }),
        typeUrl: text,
        subscribe: texts,
        unsubscribe: texts,
        initialVersions: fc
          .array(fc.tuple(text, text), { maxLength: 4 })
          .map((entries) => new Map(entries)),
        nonce: text,
        error: fc.option(
          fc.record({ code: fc.integer({ min: -5, max: 20 }), message: text }, PLAIN),
          { nil: undefined },
        ),
      },
      PLAIN,
    )
    .map((request) => ({ kind: 'discovery', request }) as const),
  fc
    .record(
      { podUid: text, name: text, namespace: text, state: fc.constantFrom('enabled', 'removed') },
      PLAIN,
    )
    .map((report) => ({ kind: 'report', report }) as ClientFrame),
  fc
    .record(
      {
        podUid: text,
        name: text,
        namespace: text,
        state: fc.constant('failed' as const),
        reason: text,
        message: text,
      },
      PLAIN,
    )
    .map((report) => ({ kind: 'report', report }) as const),
);
const ANY_SERVER_FRAME: fc.Arbitrary<ServerFrame> = fc
  .record(
    {
      systemVersion: text,
      typeUrl: text,
      resources: fc.array(
        fc.record(
          {
            name: text,
            version: text,
            aliases: texts,
            typeUrl: text,
            body: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
          },
          PLAIN,
        ),
        { maxLength: 4 },
      ),
      removed: texts,
      nonce: text,
    },
    PLAIN,
  )
  .map((response) => ({ kind: 'discovery', response }));

function survives(read: (bytes: Uint8Array) => unknown, samples: readonly Buffer[]): void {
  const attempt = (bytes: Uint8Array): void => {
    try {
      read(bytes);
    } catch (error) {
      assert.ok(error instanceof DecodeError, String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), attempt));
  for (const whole of samples) {
    for (let end = 0; end < whole.length; end++) attempt(whole.subarray(0, end));
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
        const bytes = Buffer.from(whole);
        bytes[at] = value;
        attempt(bytes);
      }),
      { numRuns: 1000 },
    );
  }
}

describe('frames from a proxy', () => {
  test('have the field numbers of delta discovery, both ways', () => {
    assert.deepEqual(decodeClientFrame(REQUEST_BYTES), REQUEST);
    assert.deepEqual(Buffer.from(encodeClientFrame(REQUEST)), REQUEST_BYTES);
  });

  test('carry reports on enrolment, both ways', () => {
    assert.deepEqual(decodeClientFrame(REPORT_BYTES), REPORT);
    assert.deepEqual(Buffer.from(encodeClientFrame(REPORT)), REPORT_BYTES);
  });

  test('are read back as they were written', () => {
    fc.assert(
      fc.property(ANY_CLIENT_FRAME, (frame) =>
        assert.deepEqual(decodeClientFrame(encodeClientFrame(frame)), frame),
      ),
    );
  });

  test('of a kind or with a state nobody knows are refused', () => {
    assert.throws(() => decodeClientFrame(hex('')), DecodeError);
    assert.throws(() => decodeClientFrame(field(9, 'x')), DecodeError);
    const bad = field(2, join(field(2, 'web'), field(3, 'shop'), hex('20 07')));
    assert.throws(() => decodeClientFrame(bad), /shop\/web/);
    assert.throws(() => decodeClientFrame(field(2, field(2, 'web'))), DecodeError);
  });

  test('bytes give a frame or a DecodeError, whatever they are', () =>
    survives(decodeClientFrame, [REQUEST_BYTES, REPORT_BYTES]));
});

describe('frames from the control plane', () => {
  test('have the field numbers of delta discovery, both ways', () => {
    assert.deepEqual(decodeServerFrame(RESPONSE_BYTES), RESPONSE);
    assert.deepEqual(Buffer.from(encodeServerFrame(RESPONSE)), RESPONSE_BYTES);
  });

  test('are read back as they were written', () => {
    fc.assert(
      fc.property(ANY_SERVER_FRAME, (frame) => {
        const read = decodeServerFrame(Buffer.from(encodeServerFrame(frame)));
        assert.deepEqual(read, frame);
      }),
    );
  });

  test('of a kind nobody knows are refused', () => {
    assert.throws(() => decodeServerFrame(hex('')), DecodeError);
  });

  test('bytes give a frame or a DecodeError, whatever they are', () =>
    survives(decodeServerFrame, [RESPONSE_BYTES]));
});

describe('an enrolment on the wire', () => {
  const whole = join(
    field(1, 'u1'),
    field(2, 'k//Pod/shop/web'),
    field(3, 'web'),
    field(4, 'shop'),
    field(5, 'td.test'),
    field(6, 'web'),
    field(7, hex('0a000001')),
  );

  test('has the numbers it was given once and for all', () => {
    assert.deepEqual(decodeEnrolment(whole), {
      podUid: 'u1',
      workloadUid: 'k//Pod/shop/web',
      name: 'web',
      namespace: 'shop',
      identity: { trustDomain: 'td.test', namespace: 'shop', serviceAccount: 'web' },
      addresses: ['10.0.0.1'],
      capture: CAPTURE_EVERYTHING,
    });
  });

  test('has numbers for its capture options too', () => {
    const ports = hex('08 50 10 5a');
    const range = join(field(1, hex('0a000000')), hex('10 08'));
    const options = join(
      field(1, ports),
      field(2, ports),
      field(3, range),
      field(4, range),
      hex('28 02 30 01'),
    );
    const expected = { first: 80, last: 90 };
    const cidr = { ip: '10.0.0.0', prefixLength: 8 };
    assert.deepEqual(decodeEnrolment(join(whole, field(8, options))).capture, {
      excludeInboundPorts: [expected],
      excludeOutboundPorts: [expected],
      excludeInboundCidrs: [cidr],
      excludeOutboundCidrs: [cidr],
      dns: 'off',
      bypassInbound: true,
    });
  });

  for (const [what, option] of [
    ['a port above the highest', field(1, hex('08 01 10 808004'))],
    ['port 0', field(2, hex('10 05'))],
    ['a range that ends before it begins', field(2, hex('08 05 10 04'))],
    ['a prefix longer than the address', field(3, join(field(1, hex('0a000000')), hex('10 21')))],
    ['an answer on DNS that is not known here', hex('28 07')],
    ['more ranges than are taken', join(...Array<Buffer>(65).fill(field(1, hex('08 01 10 01'))))],
  ] as const) {
    test(`with ${what} among its capture options is refused by name`, () => {
      assert.throws(() => decodeEnrolment(join(whole, field(8, option))), {
        name: 'DecodeError',
        message: /^Cannot read enrolment of pod "shop\/web": /,
      });
    });
  }

  test('is read back as it was written', () => {
    fc.assert(
      fc.property(ANY_ENROLMENT, (enrolment) =>
        assert.deepEqual(decodeEnrolment(encodeEnrolment(enrolment)), enrolment),
      ),
    );
  });

  test('without pod uid or identity, or with half an address, is refused by name', () => {
    const named = join(field(3, 'web'), field(4, 'shop'));
    const identity = join(field(5, 'td.test'), field(6, 'web'));
    assert.throws(() => decodeEnrolment(join(named, identity)), /shop\/web/);
    assert.throws(() => decodeEnrolment(join(named, field(1, 'u1'))), /shop\/web/);
    assert.throws(
      () => decodeEnrolment(join(named, identity, field(1, 'u1'), field(7, 'x'))),
      /shop\/web/,
    );
  });

  test('bytes give an enrolment or a DecodeError, whatever they are', () =>
    survives(decodeEnrolment, [whole]));
});

describe('a namespace on the wire', () => {
  test('comes back as it was', () =>
    fc.assert(
      fc.property(ANY_MESH_NAMESPACE, (namespace) =>
        assert.deepEqual(decodeNamespace(encodeNamespace(namespace)), namespace),
      ),
    ));

  test('without a name, or with a mode nobody knows, is refused', () => {
    assert.throws(() => decodeNamespace(new Uint8Array()), DecodeError);
    // name "shop", mode 9
    assert.throws(() => decodeNamespace(Uint8Array.of(10, 4, 115, 104, 111, 112, 16, 9)), /shop/);
  });

  test('bytes give a namespace or a DecodeError, whatever they are', () =>
    survives(decodeNamespace, [Buffer.from(encodeNamespace({ name: 'shop', mode: 'ambient' }))]));
});
