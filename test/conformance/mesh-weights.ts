// How requests are shared between backends, and calls of gRPC: each request or call by itself, never a connection. Run by
// mesh.test.ts; the values are those of the Gateway API's suite.

import { requestHeaders } from './mesh-filters.ts';
import { MESH } from './mesh-stage.ts';
import type { MeshTest } from './mesh-test.ts';
import { grpcRoute, header, httpRoute, serviceParent } from './objects.ts';

const SHARES = { 'echo-v1': 0.7, 'echo-v2': 0.3 };

export const WEIGHTS: readonly MeshTest[] = [
  {
    name: 'MeshHTTPRouteWeight',
    fronts: { weights: 'both' },
    routes: [
      httpRoute(MESH, 'weights', {
        parentRefs: [serviceParent('weights', 80)],
        rules: [
          {
            backendRefs: [
              { name: 'echo-v1', port: 8080, weight: 70 },
              { name: 'echo-v2', port: 8080, weight: 30 },
            ],
          },
        ],
      }),
    ],
    rows: [{ url: 'http://weights/' }],
    shares: SHARES,
  },
  {
    name: 'MeshGRPCRouteWeight: a backend that is missing costs its share only, which is none',
    fronts: { 'grpc-weights': 'both' },
    routes: [
      grpcRoute(MESH, 'grpc-weights', {
        parentRefs: [serviceParent('grpc-weights', 7070)],
        rules: [
          {
            backendRefs: [
              { name: 'echo-v1', port: 7070, weight: 70 },
              { name: 'echo-v2', port: 7070, weight: 30 },
              { name: 'echo-v3', port: 7070, weight: 0 },
            ],
          },
        ],
      }),
    ],
    verdicts: { accepted: 'True', resolvedRefs: 'False/BackendNotFound' },
    rows: [{ url: 'grpc://grpc-weights:7070' }],
    shares: SHARES,
  },
  {
    name: 'MeshGRPCRouteRequestHeaderModifier',
    fronts: { 'grpc-headers': 'both' },
    routes: [
      grpcRoute(MESH, 'grpc-headers', {
        parentRefs: [serviceParent('grpc-headers', 7070)],
        rules: [
          grpcRule('set', 'v1', { set: { 'x-header-set': 'set-overwrites-values' } }),
          grpcRule('add', 'v1', { add: { 'x-header-add': 'add-appends-values' } }),
          grpcRule('remove', 'v1', { remove: ['x-header-remove'] }),
          grpcRule('multi', 'v2', {
            set: { 'x-header-set-1': 'header-set-1', 'x-header-set-2': 'header-set-2' },
            add: { 'x-header-add-1': 'header-add-1', 'x-header-add-2': 'header-add-2' },
            remove: ['x-header-remove-1', 'x-header-remove-2'],
          }),
        ],
      }),
    ],
    rows: [
      {
        url: 'grpc://grpc-headers:7070',
        headers: {
          'x-test-case': 'set',
          'some-other-header': 'this-header-should-be-set',
          'x-header-set': 'this-value-should-be-overwritten',
        },
        backend: 'echo-v1',
        seen: {
          headers: {
            'x-test-case': 'set',
            'some-other-header': 'this-header-should-be-set',
            'x-header-set': 'set-overwrites-values',
          },
        },
      },
      {
        url: 'grpc://grpc-headers:7070',
        headers: { 'x-test-case': 'add', 'x-header-add': 'this-value-should-be-appended' },
        backend: 'echo-v1',
        seen: { headers: { 'x-header-add': 'this-value-should-be-appended,add-appends-values' } },
      },
      {
        url: 'grpc://grpc-headers:7070',
        headers: { 'x-test-case': 'remove', 'x-header-remove': 'this-should-be-removed' },
        backend: 'echo-v1',
        seen: { absent: ['x-header-remove'] },
      },
      {
        url: 'grpc://grpc-headers:7070',
        from: 'v2',
        headers: {
          'x-test-case': 'multi',
          'x-header-set-2': 'set-header-2',
          'x-header-add-2': 'add-header-2',
          'x-header-remove-2': 'should-be-removed-2',
        },
        backend: 'echo-v2',
        seen: {
          headers: {
            'x-header-set-1': 'header-set-1',
            'x-header-set-2': 'header-set-2',
            'x-header-add-1': 'header-add-1',
            'x-header-add-2': 'add-header-2,header-add-2',
          },
          absent: ['x-header-remove-1', 'x-header-remove-2'],
        },
      },
      // a call that no rule matches, though the Service has endpoints
      { url: 'grpc://grpc-headers:7070', headers: { 'x-test-case': 'none' }, grpc: 12 },
    ],
  },
];

function grpcRule(
  testCase: string,
  version: 'v1' | 'v2',
  edit: Parameters<typeof requestHeaders>[0],
): object {
  return {
    matches: [header('x-test-case', testCase)],
    filters: [requestHeaders(edit)],
    backendRefs: [{ name: `echo-${version}`, port: 7070 }],
  };
}
