// Features of the Gateway API that are served, under the names of its own conformance suite, for the status of
// GatewayClasses. Called by gateway-outcome.ts. Invariant: a name is here when a test of test/conformance/ holds it.

import { WAYPOINT_CLASS } from '../../mesh/waypoint.ts';

const OF_ROUTES = [
  'GRPCRoute',
  'HTTPRoute',
  'HTTPRoute303RedirectStatusCode',
  'HTTPRoute307RedirectStatusCode',
  'HTTPRoute308RedirectStatusCode',
  'HTTPRouteBackendProtocolH2C',
  'HTTPRouteBackendProtocolWebSocket',
  'HTTPRouteBackendRequestHeaderModification',
  'HTTPRouteHostRewrite',
  'HTTPRouteMethodMatching',
  'HTTPRouteNamedRouteRule',
  'HTTPRouteParentRefPort',
  'HTTPRoutePathRedirect',
  'HTTPRoutePathRewrite',
  'HTTPRoutePortRedirect',
  'HTTPRouteQueryParamMatching',
  'HTTPRouteResponseHeaderModification',
  'HTTPRouteSchemeRedirect',
  'TCPRoute',
  'TLSRoute',
] as const;

const OF_WAYPOINTS = [
  'Mesh',
  'MeshClusterIPMatching',
  'MeshConsumerRoute',
  'MeshHTTPRouteBackendRequestHeaderModification',
  'MeshHTTPRouteNamedRouteRule',
  'MeshHTTPRouteQueryParamMatching',
  'MeshHTTPRouteRedirectPath',
  'MeshHTTPRouteRedirectPort',
  'MeshHTTPRouteRewritePath',
  'MeshHTTPRouteSchemeRedirect',
] as const;

const OF_INGRESS = [
  'BackendTLSPolicy',
  'Gateway',
  'GatewayHTTPListenerIsolation',
  'GatewayHTTPSListenerDetectMisdirectedRequests',
  'GatewayInfrastructurePropagation',
  'GatewayPort8080',
  'ReferenceGrant',
  'TLSRouteModeMixed',
  'TLSRouteModeTerminate',
] as const;

/** In ascending order, as the API asks for. */
export function supportedFeatures(className: string): readonly { readonly name: string }[] {
  const own = className === WAYPOINT_CLASS ? OF_WAYPOINTS : OF_INGRESS;
  return [...OF_ROUTES, ...own].toSorted().map((name) => ({ name }));
}
