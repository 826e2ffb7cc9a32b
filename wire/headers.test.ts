import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '../mesh/address.ts';
import { type Baggage, formatBaggage, readBaggage } from './baggage.ts';
import { formatForwarded, readForwardedHost } from './forwarded.ts';

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string(),
  fc.stringMatching(/^[;=,"%a-z. ]*$/),
);

describe('baggage', () => {
  test('names every key the reference sends, in its order', () => {
    const text = formatBaggage({
      cluster: 'Kubernetes',
      namespace: 'shop',
      workloadType: 'deployment',
      workloadName: 'web',
      serviceName: 'web',
      serviceVersion: 'v1',
      region: 'eu',
      zone: 'eu-1',
    });
    assert.equal(
      text,
      'k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.deployment.name=web,' +
        'service.name=web,service.version=v1,cloud.region=eu,cloud.availability_zone=eu-1',
    );
  });

  test('keys without a value are left out', () => {
    assert.equal(
      formatBaggage({ namespace: 'shop', region: '', workloadName: '' }),
      'k8s.namespace.name=shop',
    );
    assert.equal(formatBaggage({}), '');
  });

  test('unknown keys, empty values, properties and spaces are passed over', () => {
    const text =
      ' k8s.namespace.name = shop ;p=1, other=x,service.name=,k8s.job.name=nightly,=,noise,__proto__=x';
    assert.deepEqual(readBaggage(text), {
      namespace: 'shop',
      workloadType: 'job',
      workloadName: 'nightly',
    });
  });

  test('more than the standard lets a peer expect is not read', () => {
    assert.deepEqual(readBaggage(`k8s.namespace.name=shop,x=${'y'.repeat(8192)}`), {});
  });

  test('what is written is read back the same', () => {
    const value = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 });
    const baggage = fc.record(
      {
        cluster: value,
        namespace: value,
        serviceName: value,
        serviceVersion: value,
        region: value,
        zone: value,
      },
      { requiredKeys: [] },
    );
    const workload = fc.record({
      workloadType: fc.constantFrom('deployment', 'cronjob', 'pod', 'job'),
      workloadName: value,
    });
    fc.assert(
      fc.property(baggage, fc.option(workload, { nil: {} }), (baggage, workload) => {
        const whole = { ...baggage, ...workload } as Baggage;
        assert.deepEqual(readBaggage(formatBaggage(whole)), whole);
      }),
    );
  });

  test('neither way ever throws, not even on half a surrogate pair', () => {
    assert.equal(formatBaggage({ namespace: '\ud800' }), 'k8s.namespace.name=%EF%BF%BD');
    fc.assert(fc.property(anyText, (text) => void readBaggage(text)));
    fc.assert(fc.property(anyText, (namespace) => void formatBaggage({ namespace })));
  });
});

describe('forwarded', () => {
  test('says the caller, and the service if there was one', () => {
    const v4 = { ip: parseIp('10.0.0.1'), port: 4000 };
    const v6 = { ip: parseIp('fd00::1'), port: 4000 };
    assert.equal(formatForwarded(v4, undefined), 'for="10.0.0.1:4000"');
    assert.equal(formatForwarded(v6, 'web.shop.svc'), 'for="[fd00::1]:4000";host=web.shop.svc');
  });

  test('the host is read, quoted or not, wherever it stands', () => {
    assert.equal(readForwardedHost('for="10.0.0.1:4000";host=web.shop.svc'), 'web.shop.svc');
    assert.equal(readForwardedHost('Host="Web.Shop";for=x'), 'web.shop');
    assert.equal(readForwardedHost('for=a, for=b; host=web'), 'web');
    assert.equal(readForwardedHost('for="10.0.0.1:4000"'), undefined);
    assert.equal(readForwardedHost('xhost=web'), undefined);
    assert.equal(readForwardedHost(''), undefined);
  });

  test('what is written is read back the same, and reading never throws', () => {
    const source = { ip: parseIp('10.0.0.1'), port: 1 };
    fc.assert(
      fc.property(fc.domain(), (name) =>
        assert.equal(readForwardedHost(formatForwarded(source, name)), name.toLowerCase()),
      ),
    );
    fc.assert(fc.property(anyText, (text) => void readForwardedHost(text)));
  });
});
