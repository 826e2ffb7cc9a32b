// What a route is attached to and whom it holds for: ports, names, addresses, clients of other namespaces. Run by
// mesh.test.ts; the values are those of the Gateway API's suite.

import { CONSUMER, MESH } from './mesh-stage.ts';
import type { MeshTest } from './mesh-test.ts';
import { exact, httpRoute, serviceParent, setHeaders } from './objects.ts';

const SET = 'X-Header-Set';

/** Everything to echo-`version`, with a header in the response that shows it. */
function marking(value: string, version: 'v1' | 'v2', namespace?: string): object {
  return {
    filters: [
      {
        type: 'ResponseHeaderModifier',
        responseHeaderModifier: { set: setHeaders({ [SET]: value }) },
      },
    ],
    backendRefs: [
      { name: `echo-${version}`, port: 80, ...(namespace === undefined ? {} : { namespace }) },
    ],
  };
}

const marked = (value: string): object => ({ response: { headers: { [SET]: value } } });
const UNMARKED = { response: { absent: [SET] } };

export const FRONTENDS: readonly MeshTest[] = [
  {
    name: 'MeshBasic: without a route a Service is what it is',
    fronts: { basic: 'both' },
    routes: [],
    rows: [
      { url: 'http://basic' },
      { url: 'http://basic:8080/path?and=query', method: 'POST', body: 'text' },
      { url: 'http://echo', backend: 'echo-' },
      { url: 'tcp://basic:9090', body: 'hello' },
      { url: 'grpc://basic:7070' },
      { url: 'ws://basic/ws' },
    ],
  },
  {
    name: 'MeshTrafficSplit',
    fronts: { split: 'both' },
    routes: [
      httpRoute(MESH, 'split', {
        parentRefs: [serviceParent('split')],
        rules: [
          { matches: [exact('/v1')], backendRefs: [{ name: 'echo-v1', port: 80 }] },
          { matches: [exact('/v2')], backendRefs: [{ name: 'echo-v2', port: 80 }] },
        ],
      }),
    ],
    rows: [
      { url: 'http://split/v1', backend: 'echo-v1' },
      { url: 'http://split/v2', backend: 'echo-v2' },
      // what no rule matches is not found, though the Service has endpoints
      { url: 'http://split/', status: 404 },
      { url: 'http://split/v1/more', status: 404 },
    ],
  },
  {
    name: 'MeshHTTPRouteSimpleSameNamespace',
    fronts: { simple: 'both' },
    routes: [
      httpRoute(MESH, 'simple', {
        parentRefs: [serviceParent('simple', 80)],
        rules: [{ backendRefs: [{ name: 'echo-v1', port: 8080 }] }],
      }),
    ],
    rows: [{ url: 'http://simple/', backend: 'echo-v1' }],
  },
  {
    name: 'MeshFrontend: requests to a pod’s own address meet no route',
    fronts: { frontend: 'v2' },
    routes: [
      httpRoute(MESH, 'frontend', {
        parentRefs: [serviceParent('frontend')],
        rules: [marking('set', 'v2')],
      }),
    ],
    rows: ({ ips }) => [
      { url: 'http://frontend', backend: 'echo-v2', ...marked('set') },
      { url: `http://${ips.v2}:8080`, backend: 'echo-v2', ...UNMARKED },
    ],
  },
  {
    name: 'MeshFrontendHostname: the address decides, not the Host header',
    fronts: { 'hostname-v1': 'v1', 'hostname-v2': 'v2' },
    routes: [
      httpRoute(MESH, 'hostname', {
        parentRefs: [serviceParent('hostname-v2')],
        rules: [marking('set', 'v2')],
      }),
    ],
    rows: [
      {
        url: 'http://hostname-v2',
        headers: { Host: 'hostname-v1' },
        backend: 'echo-v2',
        ...marked('set'),
      },
      {
        url: 'http://hostname-v1',
        headers: { Host: 'hostname-v2' },
        backend: 'echo-v1',
        ...UNMARKED,
      },
    ],
  },
  {
    name: 'MeshPorts: a route of one port leaves the others alone',
    fronts: { 'ports-v1': 'v1', 'ports-v2': 'v2' },
    routes: [
      httpRoute(MESH, 'ports-v1', {
        parentRefs: [serviceParent('ports-v1', 80)],
        rules: [marking('v1', 'v1')],
      }),
      httpRoute(MESH, 'ports-v2', {
        parentRefs: [serviceParent('ports-v2')],
        rules: [marking('v2', 'v2')],
      }),
    ],
    rows: [
      { url: 'http://ports-v1', backend: 'echo-v1', ...marked('v1') },
      { url: 'http://ports-v1:8080', backend: 'echo-v1', ...UNMARKED },
      { url: 'http://ports-v2', backend: 'echo-v2', ...marked('v2') },
      { url: 'http://ports-v2:8080', backend: 'echo-v2', ...marked('v2') },
    ],
  },
  {
    name: 'MeshConsumerRoute: a route of another namespace holds for the clients of that one',
    fronts: { consumed: 'v1' },
    routes: [
      httpRoute(CONSUMER, 'consumed', {
        parentRefs: [{ ...serviceParent('consumed'), namespace: MESH }],
        rules: [marking('set', 'v1', MESH)],
      }),
    ],
    rows: [
      { url: `http://consumed.${MESH}/`, from: 'consumer', backend: 'echo-v1', ...marked('set') },
      { url: `http://consumed.${MESH}/`, from: 'v1', backend: 'echo-v1', ...UNMARKED },
    ],
  },
];
