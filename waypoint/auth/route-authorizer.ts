// The authorization service that a route's filter names, as external-authorization.ts asks it. A decision without I/O.
// Called by guard.ts.

import { HttpFailure } from '../../mesh/http-failures.ts';
import type { ExternalAuthorizer } from '../../mesh/http-policy.ts';
import type { ExternalAuth } from '../../mesh/route.ts';

/** The Gateway API has no field for it: longer than any that works, shorter than a client's patience. */
const TIMEOUT_MS = 5000;
/** Who cannot be asked lets nobody in. */
const STATUS_ON_ERROR = 403;

/** @throws HttpFailure BACKEND_INVALID */
export function authorizerOf(filter: ExternalAuth): ExternalAuthorizer {
  const { target, protocol, pathPrefix, allowedHeaders, allowedResponseHeaders } = filter;
  if (target.kind === 'invalid') {
    throw new HttpFailure('BACKEND_INVALID', `The authorizer of the route: ${target.why}`);
  }
  return {
    name: `${target.service}:${target.port}`,
    protocol,
    service: target.service,
    port: target.port,
    timeoutMs: TIMEOUT_MS,
    failOpen: false,
    statusOnError: STATUS_ON_ERROR,
    pathPrefix,
    includeRequestHeaders: allowedHeaders,
    includeAdditionalHeaders: [],
    includeRequestBody:
      filter.maxBodyBytes === 0
        ? undefined
        : { maxBytes: filter.maxBodyBytes, allowPartial: true, asBytes: false },
    // Gateway API: all of them, where the filter does not say
    headersToUpstreamOnAllow: allowedResponseHeaders.length === 0 ? ['*'] : allowedResponseHeaders,
    headersToDownstreamOnAllow: [],
    headersToDownstreamOnDeny: [],
  };
}
