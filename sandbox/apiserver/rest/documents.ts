// Everything that is not an object: discovery, OpenAPI, version, health, token issuer metadata.

import { ISSUER } from '../auth/tokens.ts';
import { noSuchPath } from '../errors.ts';
import { acceptedForms } from './accept.ts';
import {
  aggregatedDiscovery,
  coreVersions,
  groupDocument,
  groupList,
  resourceList,
} from './discovery.ts';
import { type Exchange, send, sendBytes } from './exchange.ts';
import type { Document } from './openapi.ts';
import type { RouteParts } from './parts.ts';
import type { ApiPath } from './path.ts';

export const VERSION = {
  major: '1',
  minor: '32',
  gitVersion: 'v1.32.0+ambit-sandbox',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: 'none',
  compiler: 'node',
  platform: 'linux/amd64',
};

export function serveDocuments(
  parts: RouteParts,
  exchange: Exchange,
  path: Exclude<ApiPath, { is: 'resource' }>,
): void {
  const { kinds } = parts.cluster;
  switch (path.is) {
    case 'group':
      send(exchange, 200, groupDocument(kinds, path.group));
      return;
    case 'group-version':
      send(exchange, 200, resourceList(kinds, path));
      return;
    case 'other':
      serveOther(parts, exchange, trimmed(path.path));
  }
}

function serveOther(parts: RouteParts, exchange: Exchange, path: string): void {
  if (path.startsWith('/openapi/v3/')) {
    sendDocument(exchange, parts.openApi.group(groupVersionOf(path)));
    return;
  }
  switch (path) {
    case '/api':
    case '/apis':
      serveGroups(parts, exchange, path === '/api');
      return;
    case '/version':
      send(exchange, 200, VERSION);
      return;
    case '/healthz':
    case '/livez':
    case '/readyz':
      sendBytes(exchange, 200, Buffer.from('ok'), 'text/plain; charset=utf-8');
      return;
    case '/openapi/v2':
      sendDocument(exchange, parts.openApi.v2(exchange.request.headers.accept));
      return;
    case '/openapi/v3':
      sendDocument(exchange, parts.openApi.root());
      return;
    case '/openid/v1/jwks':
      send(exchange, 200, parts.tokens.jwks);
      return;
    case '/.well-known/openid-configuration':
      send(exchange, 200, {
        issuer: ISSUER,
        jwks_uri: `https://${parts.serverAddress}/openid/v1/jwks`,
        response_types_supported: ['id_token'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['ES256'],
      });
      return;
    case '/':
      send(exchange, 200, {
        paths: [
          '/api',
          '/apis',
          '/healthz',
          '/livez',
          '/openapi/v2',
          '/openapi/v3',
          '/readyz',
          '/version',
        ],
      });
      return;
    default:
      throw noSuchPath();
  }
}

function sendDocument(exchange: Exchange, { bytes, type }: Document): void {
  sendBytes(exchange, 200, bytes, type);
}

function serveGroups(parts: RouteParts, exchange: Exchange, core: boolean): void {
  const { kinds } = parts.cluster;
  const aggregated = acceptedForms(exchange.request.headers.accept).find(
    (form) => form.as === 'APIGroupDiscoveryList' && ['v2', 'v2beta1'].includes(form.version),
  );
  exchange.response.setHeader('Vary', 'Accept');
  if (aggregated === undefined) {
    send(exchange, 200, core ? coreVersions(kinds, parts.serverAddress) : groupList(kinds));
    return;
  }
  const { version } = aggregated;
  const text = JSON.stringify(aggregatedDiscovery(kinds, core, version));
  const type = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
  sendBytes(exchange, 200, Buffer.from(text), type);
}

/** `/openapi/v3/api/v1` or `/openapi/v3/apis/apps/v1`: which group version. */
function groupVersionOf(path: string): string {
  const parts = path.split('/').slice(3);
  if (parts[0] === 'api' && parts.length === 2) return parts[1] ?? '';
  if (parts[0] === 'apis' && parts.length === 3) return `${parts[1]}/${parts[2]}`;
  throw noSuchPath();
}

function trimmed(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}
