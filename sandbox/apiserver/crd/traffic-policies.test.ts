// The definition of TrafficPolicy through the API: what its schema and rules let in, and what they refuse, by which field.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { startTestServer, type TestServer } from '../test-server.ts';

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const MANIFEST = new URL('../../../manifests/crds/trafficpolicies.yaml', import.meta.url);
const PATH = '/apis/networking.ambit-mesh.io/v1alpha1/namespaces/default/trafficpolicies';

const SERVICE = { kind: 'Service', name: 'web' };
const ROUTE = { group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', name: 'web' };
const GRPC_ROUTE = { ...ROUTE, kind: 'GRPCRoute', sectionName: 'read' };
const on = (...targetRefs: object[]): object => ({ targetRefs });
const having = (sections: object): object => ({ targetRefs: [SERVICE], ...sections });
const balanced = (loadBalancing: object): object => having({ loadBalancing });
const retried = (retries: object): object => having({ retries });
const probed = (healthChecks: object): object => having({ healthChecks });
const faulty = (fault: object): object => having({ faults: [{ percent: 50, ...fault }] });
const local = (limit: object): object =>
  having({ rateLimits: { local: [{ requests: 5, per: '1s', ...limit }] } });
const global = (limit: object): object =>
  having({
    rateLimits: { global: [{ redis: { name: 'redis' }, requests: 5, per: '1m', ...limit }] },
  });

/** A spec, and undefined where it is let in, else what its refusal says. */
const CASES: readonly (readonly [object, RegExp | undefined])[] = [
  [{}, /spec\.targetRefs: Required value/],
  [on(), /spec\.targetRefs.*at least 1/],
  [on(SERVICE, { ...SERVICE, sectionName: 'http' }, ROUTE, GRPC_ROUTE), undefined],
  [on(SERVICE, SERVICE), /spec\.targetRefs: .*each target once/],
  [on({ ...SERVICE, group: 'apps' }), /targetRefs\[0\]: .*a target is a Service/],
  [on({ ...ROUTE, kind: 'TCPRoute' }), /targetRefs\[0\]: .*a target is a Service/],
  [on({ kind: 'HTTPRoute', name: 'web' }), /targetRefs\[0\]: .*a target is a Service/],
  [{ ...on(ROUTE), timeouts: { request: '1s' }, retries: {} }, undefined],
  ...['loadBalancing', 'connectionLimits', 'outlierDetection', 'loadShedding'].map(
    (section) => [{ ...on(SERVICE, ROUTE), [section]: {} }, /for Services only/] as const,
  ),

  [balanced({}), undefined],
  [balanced({ type: 'PeakEWMA', slowStart: { window: '30s', aggression: 1.5 } }), undefined],
  [balanced({ type: 'Fastest' }), /loadBalancing\.type: Unsupported value/],
  [balanced({ type: 'RingHash' }), /loadBalancing: .*hash is for/],
  [balanced({ type: 'Random', hash: { sourceIP: true } }), /loadBalancing: .*hash is for/],
  [balanced({ type: 'RingHash', hash: { header: 'X-User' } }), undefined],
  [
    balanced({ type: 'Maglev', hash: { cookie: { name: 'sid', ttl: '0s', path: '/' } } }),
    undefined,
  ],
  [
    balanced({ type: 'Maglev', hash: { queryParam: 'u', sourceIP: true } }),
    /exactly one of header/,
  ],
  [balanced({ type: 'Maglev', hash: {} }), /exactly one of header/],
  [balanced({ type: 'Maglev', hash: { sourceIP: false } }), /sourceIP: Unsupported value/],
  [
    balanced({ type: 'Maglev', hash: { cookie: { name: 'a; Domain=x' } } }),
    /cookie\.name.*should match/,
  ],
  [
    balanced({ type: 'Maglev', hash: { cookie: { name: 'a', path: '/;x' } } }),
    /cookie\.path.*should match/,
  ],
  [
    balanced({ type: 'Maglev', hash: { sourceIP: true }, slowStart: { window: '1s' } }),
    /slowStart is not for/,
  ],
  [balanced({ locality: { preference: 'Strict' } }), undefined],
  [balanced({ locality: { preference: 'Zone' } }), /preference: Unsupported value/],

  [having({ connectionLimits: { maxConnections: 0, maxRequests: 4_294_967_295 } }), undefined],
  [
    having({ connectionLimits: { maxConnections: -1 } }),
    /maxConnections.*greater than or equal to 0/,
  ],
  [having({ timeouts: { request: '0s', perTry: '1m30s', connect: '250ms' } }), undefined],
  [having({ timeouts: { request: '1.5s' } }), /timeouts\.request.*should match/],
  [having({ timeouts: { idle: 5 } }), /timeouts\.idle: Invalid value: "integer"/],

  [retried({ retryOn: ['5xx', 'unavailable', 503, 429] }), undefined],
  [retried({ retryOn: ['4xx'] }), /retries\.retryOn\[0\]: .*a condition is/],
  [retried({ retryOn: ['503'] }), /retries\.retryOn\[0\]: .*a condition is/],
  [retried({ retryOn: [200] }), /retries\.retryOn\[0\]: .*a condition is/],
  [retried({ attempts: 101 }), /attempts.*less than or equal to 100/],
  [retried({ budget: { percent: 12.5, minPerSecond: 10 } }), undefined],
  [retried({ budget: { minConcurrency: 3, minPerSecond: 10 } }), /budget: .*only one of/],

  [having({ outlierDetection: { consecutive5xx: 0, successRate: {}, interval: '5s' } }), undefined],
  [having({ outlierDetection: { maxEjectionPercent: 101 } }), /maxEjectionPercent/],
  [probed({ path: '/ready', expectedStatuses: ['200-299', '404'] }), undefined],
  [probed({ tcp: {} }), undefined],
  [probed({ grpc: { service: 'shop.Cart' }, interval: '1s' }), undefined],
  [probed({}), /healthChecks: .*exactly one of path/],
  [probed({ path: '/', tcp: {} }), /healthChecks: .*exactly one of path/],
  [probed({ tcp: {}, expectedStatuses: ['200'] }), /expectedStatuses needs path/],
  [probed({ path: '/', expectedStatuses: ['2xx'] }), /expectedStatuses\[0\].*should match/],
  [probed({ path: 'ready' }), /healthChecks\.path.*should match/],

  [faulty({ delay: '5s' }), undefined],
  [
    faulty({
      abort: { grpcStatus: 14 },
      match: {
        headers: [{ name: 'x-test', value: '1' }],
        source: { namespaces: ['a'], principals: ['cluster.local/ns/a/sa/b'] },
      },
    }),
    undefined,
  ],
  [faulty({}), /faults\[0\]: .*exactly one of delay and abort/],
  [faulty({ delay: '1s', abort: { status: 500 } }), /exactly one of delay and abort/],
  [faulty({ abort: {} }), /exactly one of status and grpcStatus/],
  [faulty({ abort: { status: 199 } }), /abort\.status/],
  [
    faulty({ delay: '1s', match: { source: { principals: ['web'] } } }),
    /principals\[0\].*should match/,
  ],

  [local({}), undefined],
  [local({ by: 'Header', header: 'x-tenant', burst: 1 }), undefined],
  [local({ by: 'Header' }), /local\[0\]: .*header is for/],
  [local({ header: 'x-tenant' }), /local\[0\]: .*header is for/],
  [local({ requests: 0 }), /requests.*greater than or equal to 1/],
  [global({ by: 'Identity', onFailure: 'Deny', timeout: '20ms' }), undefined],
  [global({ onFailure: 'Ignore' }), /onFailure: Unsupported value/],
  [global({ redis: {} }), /redis\.name: Required value/],

  [having({ loadShedding: { minLimit: 5, maxLimit: 5 } }), undefined],
  [having({ loadShedding: { maxLimit: 2 } }), /loadShedding: .*minLimit is not above/],
  [
    having({
      loadShedding: { priorities: { header: 'x-priority', rules: [{ class: 'critical' }] } },
    }),
    undefined,
  ],
  [
    having({ loadShedding: { priorities: { rules: [{ class: 'high' }] } } }),
    /class: Unsupported value/,
  ],
  [having({ hedging: { after: '30ms' } }), undefined],
  [having({ hedging: { percentile: 99.5, maxExtra: 2 } }), undefined],
  [having({ hedging: {} }), /hedging: .*exactly one of after/],
  [having({ hedging: { after: '1s', percentile: 99 } }), /hedging: .*exactly one of after/],
  [having({ subsets: [{ name: 'v1', labels: { version: 'v1' } }] }), undefined],
  [having({ subsets: [{ name: 'v1', labels: {} }] }), /labels.*at least 1/],
  [
    having({
      subsets: [
        { name: 'v1', labels: { a: 'b' } },
        { name: 'v1', labels: { a: 'c' } },
      ],
    }),
    /subsets\[1\]: Duplicate value/,
  ],
];

describe('the definition of TrafficPolicy', () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer();
    const definition: unknown = parse(await readFile(MANIFEST, 'utf8'));
    const made = await server.call('POST', DEFINITIONS, { body: definition as object });
    assert.equal(made.status, 201, made.body.message);
  });
  after(() => server[Symbol.asyncDispose]());

  for (const [spec, refusal] of CASES) {
    const shown = JSON.stringify(spec).slice(0, 140);
    test(`${refusal === undefined ? 'let in' : 'refuse'} ${shown}`, async () => {
      const { status, body } = await server.call('POST', PATH, {
        body: { metadata: { generateName: 'p-' }, spec },
      });
      assert.equal(status, refusal === undefined ? 201 : 422, body.message);
      if (refusal !== undefined) assert.match(body.message, refusal);
    });
  }
});
