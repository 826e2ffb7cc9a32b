// What a route does to requests on their way: headers set, added and removed, paths rewritten. Run by mesh.test.ts; the
// values are those of the Gateway API's suite, the paths that backends see are compared as well.

import type { Row } from './expectation.ts';
import { MESH } from './mesh-stage.ts';
import type { MeshTest } from './mesh-test.ts';
import { httpRoute, prefix, serviceParent, setHeaders } from './objects.ts';

type Edit = {
  readonly set?: Readonly<Record<string, string>>;
  readonly add?: Readonly<Record<string, string>>;
  readonly remove?: readonly string[];
};

export function requestHeaders({ set = {}, add = {}, remove = [] }: Edit): object {
  return {
    type: 'RequestHeaderModifier',
    requestHeaderModifier: {
      ...(Object.keys(set).length === 0 ? {} : { set: setHeaders(set) }),
      ...(Object.keys(add).length === 0 ? {} : { add: setHeaders(add) }),
      ...(remove.length === 0 ? {} : { remove }),
    },
  };
}

/** By path. */
export const HEADER_EDITS: Readonly<Record<string, Edit>> = {
  '/set': { set: { 'X-Header-Set': 'set-overwrites-values' } },
  '/add': { add: { 'X-Header-Add': 'add-appends-values' } },
  '/remove': { remove: ['X-Header-Remove'] },
  '/multiple': {
    set: { 'X-Header-Set-1': 'header-set-1', 'X-Header-Set-2': 'header-set-2' },
    add: {
      'X-Header-Add-1': 'header-add-1',
      'X-Header-Add-2': 'header-add-2',
      'X-Header-Add-3': 'header-add-3',
    },
    remove: ['X-Header-Remove-1', 'X-Header-Remove-2'],
  },
  '/case-insensitivity': {
    set: { 'X-Header-Set': 'header-set' },
    add: { 'X-Header-Add': 'header-add' },
    remove: ['X-Header-Remove'],
  },
};

/** The seven requests of both tests of request headers. @param base `http://front` */
export function headerRows(base: string, backend: string): Row[] {
  const other = { 'Some-Other-Header': 'val' };
  const set = { ...other, 'X-Header-Set': 'set-overwrites-values' };
  return [
    { url: `${base}/set`, headers: other, backend, seen: { headers: set } },
    {
      url: `${base}/set`,
      headers: { ...other, 'X-Header-Set': 'some-other-value' },
      backend,
      seen: { headers: set },
    },
    {
      url: `${base}/add`,
      headers: other,
      backend,
      seen: { headers: { ...other, 'X-Header-Add': 'add-appends-values' } },
    },
    {
      url: `${base}/add`,
      headers: { ...other, 'X-Header-Add': 'some-other-value' },
      backend,
      seen: { headers: { ...other, 'X-Header-Add': 'some-other-value,add-appends-values' } },
    },
    {
      url: `${base}/remove`,
      headers: { 'X-Header-Remove': 'val' },
      backend,
      seen: { absent: ['X-Header-Remove'] },
    },
    {
      url: `${base}/multiple`,
      headers: {
        'X-Header-Set-2': 'set-val-2',
        'X-Header-Add-2': 'add-val-2',
        'X-Header-Remove-2': 'remove-val-2',
        'Another-Header': 'another-header-val',
      },
      backend,
      seen: {
        headers: {
          'X-Header-Set-1': 'header-set-1',
          'X-Header-Set-2': 'header-set-2',
          'X-Header-Add-1': 'header-add-1',
          'X-Header-Add-2': 'add-val-2,header-add-2',
          'X-Header-Add-3': 'header-add-3',
          'Another-Header': 'another-header-val',
        },
        absent: ['X-Header-Remove-1', 'X-Header-Remove-2'],
      },
    },
    {
      url: `${base}/case-insensitivity`,
      headers: {
        'x-header-set': 'original-val-set',
        'x-header-add': 'original-val-add',
        'x-header-remove': 'original-val-remove',
        'Another-Header': 'another-header-val',
      },
      backend,
      seen: {
        headers: {
          'X-Header-Set': 'header-set',
          'X-Header-Add': 'original-val-add,header-add',
          'Another-Header': 'another-header-val',
        },
        absent: ['x-header-remove'],
      },
    },
  ];
}

export function rewrite(type: 'ReplacePrefixMatch' | 'ReplaceFullPath', value: string): object {
  const key = type === 'ReplaceFullPath' ? 'replaceFullPath' : 'replacePrefixMatch';
  return { type: 'URLRewrite', urlRewrite: { path: { type, [key]: value } } };
}

const REWRITE_HEADERS = requestHeaders({
  set: { 'X-Header-Set': 'set-overwrites-values' },
  add: { 'X-Header-Add': 'header-val-1', 'X-Header-Add-Append': 'header-val-2' },
  remove: ['X-Header-Remove'],
});
const SENT = {
  'X-Header-Remove': 'remove-val',
  'X-Header-Add-Append': 'append-val-1',
  'X-Header-Set': 'set-val',
};
const SEEN = {
  headers: {
    'X-Header-Add': 'header-val-1',
    'X-Header-Add-Append': 'append-val-1,header-val-2',
    'X-Header-Set': 'set-overwrites-values',
  },
  absent: ['X-Header-Remove'],
};

/** Path prefixes and the filters of each. */
export const REWRITES: readonly (readonly [path: string, ...filters: object[]])[] = [
  ['/prefix/one', rewrite('ReplacePrefixMatch', '/one')],
  ['/strip-prefix', rewrite('ReplacePrefixMatch', '/')],
  ['/full/one', rewrite('ReplaceFullPath', '/one')],
  ['/full/rewrite-path-and-modify-headers', rewrite('ReplaceFullPath', '/test'), REWRITE_HEADERS],
  [
    '/prefix/rewrite-path-and-modify-headers',
    rewrite('ReplacePrefixMatch', '/prefix'),
    REWRITE_HEADERS,
  ],
];

export function rewriteRows(base: string, backend: string): Row[] {
  const row = (target: string, path: string): Row => ({
    url: `${base}${target}`,
    backend,
    seen: { path },
  });
  return [
    row('/prefix/one/two', '/one/two'),
    row('/prefix/one', '/one'),
    row('/prefix/one/two?x=1&y=/prefix/one', '/one/two?x=1&y=/prefix/one'),
    row('/strip-prefix/three', '/three'),
    row('/strip-prefix', '/'),
    row('/strip-prefix?x=1', '/?x=1'),
    row('/full/one/two', '/one'),
    row('/full/one/two?x=1', '/one?x=1'),
    {
      ...row('/full/rewrite-path-and-modify-headers/test', '/test'),
      headers: SENT,
      seen: { path: '/test', ...SEEN },
    },
    {
      ...row('/prefix/rewrite-path-and-modify-headers/one', '/prefix/one'),
      headers: SENT,
      seen: { path: '/prefix/one', ...SEEN },
    },
  ];
}

export const FILTERS: readonly MeshTest[] = [
  {
    name: 'MeshHTTPRouteRequestHeaderModifier',
    fronts: { headers: 'both' },
    routes: [
      httpRoute(MESH, 'headers', {
        parentRefs: [serviceParent('headers', 80)],
        rules: Object.entries(HEADER_EDITS).map(([path, edit]) => ({
          matches: [prefix(path)],
          filters: [requestHeaders(edit)],
          backendRefs: [{ name: 'echo-v1', port: 8080 }],
        })),
      }),
    ],
    rows: headerRows('http://headers', 'echo-v1'),
  },
  {
    name: 'MeshHTTPRouteBackendRequestHeaderModifier',
    fronts: { 'backend-headers': 'both' },
    routes: [
      httpRoute(MESH, 'backend-headers', {
        parentRefs: [serviceParent('backend-headers', 80)],
        rules: Object.entries(HEADER_EDITS).map(([path, edit]) => ({
          matches: [prefix(path)],
          backendRefs: [{ name: 'echo-v1', port: 8080, filters: [requestHeaders(edit)] }],
        })),
      }),
    ],
    rows: headerRows('http://backend-headers', 'echo-v1'),
  },
  {
    name: 'MeshHTTPRouteRewritePath',
    fronts: { rewrites: 'both' },
    routes: [
      httpRoute(MESH, 'rewrites', {
        parentRefs: [serviceParent('rewrites')],
        rules: REWRITES.map(([path, ...filters]) => ({
          matches: [prefix(path)],
          filters,
          backendRefs: [{ name: 'echo-v1', port: 80 }],
        })),
      }),
    ],
    rows: rewriteRows('http://rewrites', 'echo-v1'),
  },
];
