import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Route, routeConnection, routeDatagram, type View } from './decide.ts';
import { podAddress, realPort, shownPort, zoneOf } from './plan.ts';

const slice = { base: 32 };
const own = podAddress(slice, 1, 1);
const near = podAddress(slice, 1, 2);
const far = podAddress(slice, 2, 1);
const VIP = '127.33.1.1';

function view(more: Partial<View> = {}, shifted = false): View {
  return {
    place: {
      base: slice.base,
      address: own,
      lowPortsShifted: shifted,
      search: [],
      relay: { host: '127.32.0.2', port: 4000 },
      servicesFile: '',
      redirectFile: null,
    },
    services: {
      ports: {
        [`tcp/${VIP}:80`]: { endpoints: [`${far}:8080`, `${near}:8080`], affinity: false },
        [`udp/${VIP}:53`]: { endpoints: [`${near}:5000`], affinity: false },
        [`tcp/${VIP}:81`]: { endpoints: [], affinity: false },
      },
      nodePorts: { 'tcp/30080': { endpoints: [`${near}:8080`], affinity: false } },
    },
    redirect: undefined,
    ...more,
  };
}

const redirect = { outbound: { host: own, port: 15_001 } };

function route(host: string, port: number, given = view(), source = own, random = 0): string {
  return text(routeConnection(given, source, { host, port }, () => random));
}

function text(found: Route): string {
  if (found.kind === 'untouched' || found.kind === 'refused') return found.kind;
  const target = `${found.target.host}:${found.target.port}`;
  if (found.kind === 'direct') return `direct ${target}`;
  return `proxied ${target} for ${found.destination.host}:${found.destination.port}`;
}

test('localhost is the pod itself, and is never captured', () => {
  for (const host of ['127.0.0.1', '::1', '0.0.0.0', '::ffff:127.0.0.1', own]) {
    assert.equal(route(host, 80), `direct ${own}:80`);
    assert.equal(route(host, 80, view({ redirect })), `direct ${own}:80`);
  }
});

test('pods of the node are reached directly, pods of other nodes through the link', () => {
  assert.equal(route(near, 80), `direct ${near}:80`);
  assert.equal(route(far, 80), `proxied 127.32.0.2:4000 for ${far}:80`);
});

test('a service address leads to an endpoint, and to nobody when there is none', () => {
  assert.equal(route(VIP, 80, view(), own, 0.9), `direct ${near}:8080`);
  assert.equal(route(VIP, 80, view(), own, 0), `proxied 127.32.0.2:4000 for ${far}:8080`);
  assert.equal(route(VIP, 81), 'refused');
  assert.equal(route(VIP, 82), 'refused');
  assert.equal(route('127.34.0.1', 30_080), `direct ${near}:8080`);
});

test('a captured pod leads everything to the agent, with the address that was asked', () => {
  for (const host of [near, far, VIP]) {
    assert.equal(route(host, 80, view({ redirect })), `proxied ${own}:15001 for ${host}:80`);
  }
});

test('an agent that delivers to its own pod as a pod of another node does not cross the link', () => {
  assert.equal(route(near, 80, view(), far), `direct ${near}:80`);
});

test('what is outside of the sandbox is left alone, and so is the lifeline', () => {
  for (const host of ['192.0.2.1', '127.16.0.1', '127.48.0.1', '2001:db8::1', '127.32.0.255']) {
    assert.equal(route(host, 443, view({ redirect })), 'untouched');
  }
});

test('a Service may have an address from outside, given by somebody else', () => {
  const base = view();
  const ports = { 'tcp/10.43.0.1:443': { endpoints: [`${near}:6443`], affinity: false } };
  const foreign = { ...base, services: { ports, nodePorts: {} } };
  assert.equal(route('10.43.0.1', 443, foreign), `direct ${near}:6443`);
  assert.equal(route('10.43.0.1', 80, foreign), 'untouched');
  assert.match(route('10.43.0.1', 443, { ...foreign, redirect }), /^proxied /);
});

test('datagrams go to endpoints and are never captured', () => {
  const send = (host: string, port: number): string =>
    text(routeDatagram(view({ redirect }), own, { host, port }, () => 0));
  assert.equal(send(VIP, 53), `direct ${near}:5000`);
  assert.equal(send(far, 53), `direct ${far}:53`);
  assert.equal(send(VIP, 54), 'refused');
});

test('where low ports are not to be had they are moved, the same for everybody', () => {
  assert.equal(route(near, 80, view({}, true)), `direct ${near}:62080`);
  assert.equal(route(far, 80, view({}, true)), `proxied 127.32.0.2:4000 for ${far}:62080`);
  assert.equal(route(far, 80, view({ redirect }, true)), `proxied ${own}:15001 for ${far}:80`);
  for (const port of [0, 1, 80, 1023, 1024, 8080, 65_535]) {
    assert.equal(shownPort(realPort(port, true), true), port);
    assert.equal(realPort(port, false), port);
  }
});

test('every address of a node belongs to it alone', () => {
  for (const node of [1, 14]) {
    for (const pod of [1, 255, 256, 60_000]) {
      assert.deepEqual(zoneOf(slice, podAddress(slice, node, pod)), { node });
    }
  }
  assert.equal(zoneOf(slice, '127.48.0.1'), 'outside');
  assert.notEqual(podAddress(slice, 1, 1), podAddress(slice, 1, 2));
});
