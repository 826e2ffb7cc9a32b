// What annotations mean, and what becomes of those that mean nothing.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CAPTURE_EVERYTHING } from '../../mesh/capture-options.ts';
import type { Pod } from '../../runtime/kubernetes/objects.ts';
import { decodeEnrolment, encodeEnrolment } from '../../wire/discovery.ts';
import { captureOptionsOf } from './capture-options.ts';

const NAMES = [
  'exclude-inbound-ports',
  'exclude-outbound-ports',
  'exclude-inbound-cidrs',
  'exclude-outbound-cidrs',
  'dns-capture',
  'bypass-inbound-capture',
] as const;

function read(annotations: Record<string, string>) {
  const named = Object.entries(annotations).map(([name, value]) => [
    `ambit-mesh.io/${name}`,
    value,
  ]);
  const pod = {
    metadata: { name: 'web', namespace: 'shop', annotations: Object.fromEntries(named) },
    spec: {},
  } as Pod;
  return captureOptionsOf(pod);
}

describe('captureOptionsOf()', () => {
  test('says nothing where nothing is said', () => {
    assert.deepEqual(read({ redirection: 'enabled' }), {
      options: CAPTURE_EVERYTHING,
      problems: [],
    });
  });

  test('reads every annotation', () => {
    const { options, problems } = read({
      'exclude-inbound-ports': '8080',
      'exclude-outbound-ports': '25, 9000-9010',
      'exclude-inbound-cidrs': '10.0.0.0/8',
      'exclude-outbound-cidrs': '192.0.2.7,fd00::/8',
      'dns-capture': 'false',
      'bypass-inbound-capture': 'true',
    });
    assert.deepEqual(problems, []);
    assert.deepEqual(options, {
      excludeInboundPorts: [{ first: 8080, last: 8080 }],
      excludeOutboundPorts: [
        { first: 25, last: 25 },
        { first: 9000, last: 9010 },
      ],
      excludeInboundCidrs: [{ ip: '10.0.0.0', prefixLength: 8 }],
      excludeOutboundCidrs: [
        { ip: '192.0.2.7', prefixLength: 32 },
        { ip: 'fd00::', prefixLength: 8 },
      ],
      dns: 'off',
      bypassInbound: true,
    });
  });

  for (const [name, value] of [
    ['exclude-inbound-ports', '0'],
    ['exclude-inbound-ports', '65536'],
    ['exclude-inbound-ports', '90-80'],
    ['exclude-inbound-ports', '80,,90'],
    ['exclude-outbound-ports', 'http'],
    ['exclude-outbound-ports', '80-'],
    ['exclude-outbound-ports', Array(65).fill('1').join(',')],
    ['exclude-inbound-cidrs', '10.0.0.0/33'],
    ['exclude-outbound-cidrs', 'example.com'],
    ['dns-capture', 'yes'],
    ['bypass-inbound-capture', ''],
    ['exclude-inbound-port', '80'],
  ] as const) {
    test(`${name} "${value.slice(0, 20)}" is a problem, and the other annotations hold`, () => {
      const { options, problems } = read({
        'exclude-outbound-cidrs': '10.1.0.0/16',
        [name]: value,
      });
      const [problem, ...more] = problems;
      assert.deepEqual(more, []);
      assert.equal(problem?.object, 'Pod shop/web');
      assert.equal(problem?.reason, 'InvalidAnnotation');
      assert.match(problem?.message ?? '', new RegExp(`ambit-mesh.io/${name} is "`));
      assert.match(
        problem?.remedy ?? '',
        new RegExp(`kubectl annotate pod web -n shop ambit-mesh.io/${name}-$`),
      );
      const kept = name === 'exclude-outbound-cidrs' ? [] : [{ ip: '10.1.0.0', prefixLength: 16 }];
      assert.deepEqual(options, { ...CAPTURE_EVERYTHING, excludeOutboundCidrs: kept });
    });
  }

  test('whatever is written, the options can be sent to an agent, and each problem names its annotation', () => {
    const value = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[0-9,-]{0,12}$/),
      fc.stringMatching(/^[0-9a-f:./,]{0,20}$/),
    );
    fc.assert(
      fc.property(fc.constantFrom(...NAMES), value, (name, text) => {
        const { options, problems } = read({ [name]: text });
        assert.ok(problems.every(({ message }) => message.includes(name)));
        if (problems.length > 0) assert.deepEqual(options, CAPTURE_EVERYTHING);
        const sent = decodeEnrolment(
          encodeEnrolment({
            podUid: 'u',
            workloadUid: 'w',
            name: 'web',
            namespace: 'shop',
            identity: { trustDomain: 't', namespace: 'shop', serviceAccount: 'web' },
            addresses: [],
            capture: options,
          }),
        );
        assert.deepEqual(sent.capture, options);
      }),
    );
  });
});
