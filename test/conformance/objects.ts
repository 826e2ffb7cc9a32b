// The Kubernetes objects of the conformance tests, as values: echoes, Services in front of them, routes. Called by the
// stages and the tables. Names and ports are those of the Gateway API's own suite, so that its tables can be read beside.

import type { KubeObject } from '../../runtime/kubernetes/objects.ts';
import { GRPC_ROUTES, HTTP_ROUTES, type Resource } from '../../runtime/kubernetes/resources.ts';

export type Object = KubeObject & Readonly<Record<string, unknown>>;

export type RouteObject = {
  readonly resource: Resource;
  readonly object: Object & { readonly spec: Readonly<Record<string, unknown>> };
};

/** Which echoes are behind a Service. */
export type Version = 'v1' | 'v2' | 'both';

const PLACE = {
  POD_NAME: 'metadata.name',
  POD_NAMESPACE: 'metadata.namespace',
  POD_IP: 'status.podIP',
};

export function echoDeployment(
  namespace: string,
  name: string,
  labels: Readonly<Record<string, string>>,
  more: {
    readonly replicas?: number;
    readonly variables?: Readonly<Record<string, string>>;
    readonly readyPort?: number;
    readonly container?: object;
    readonly spec?: object;
  } = {},
): Object {
  const { replicas = 1, variables = {}, readyPort = 8080, container = {}, spec = {} } = more;
  const place = Object.entries(PLACE).map(([variable, fieldPath]) => ({
    name: variable,
    valueFrom: { fieldRef: { fieldPath } },
  }));
  const given = Object.entries(variables).map(([variable, value]) => ({ name: variable, value }));
  return {
    metadata: { name, namespace },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [
            {
              name: 'echo',
              image: 'ambit-mesh/http-echo',
              env: [...place, ...given],
              readinessProbe: { tcpSocket: { port: readyPort }, periodSeconds: 1 },
              ...container,
            },
          ],
          ...spec,
        },
      },
    },
  };
}

/** A Service with the ports of the suite's `echo`. */
export function echoService(namespace: string, name: string, version: Version): Object {
  return {
    metadata: { name, namespace },
    spec: {
      selector: { app: 'echo', ...(version === 'both' ? {} : { version }) },
      ports: [
        { name: 'http', port: 80, targetPort: 8080, appProtocol: 'http' },
        { name: 'http-alt', port: 8080, targetPort: 8080, appProtocol: 'http' },
        { name: 'https', port: 443, targetPort: 8443 },
        { name: 'tcp', port: 9090, targetPort: 9090 },
        // the suite says it on `echo` only: a proxy must find out for the others
        {
          name: 'grpc',
          port: 7070,
          targetPort: 7070,
          ...(version === 'both' ? { appProtocol: 'kubernetes.io/h2c' } : {}),
        },
      ],
    },
  };
}

export function httpRoute(namespace: string, name: string, spec: object): RouteObject {
  return { resource: HTTP_ROUTES, object: { metadata: { name, namespace }, spec: { ...spec } } };
}

export function grpcRoute(namespace: string, name: string, spec: object): RouteObject {
  return { resource: GRPC_ROUTES, object: { metadata: { name, namespace }, spec: { ...spec } } };
}

/** A parent that is a Service; without a port: all its ports. */
export function serviceParent(name: string, port?: number): object {
  return { group: '', kind: 'Service', name, ...(port === undefined ? {} : { port }) };
}

export function prefix(value: string): { path: object } {
  return { path: { type: 'PathPrefix', value } };
}

export function exact(value: string): { path: object } {
  return { path: { type: 'Exact', value } };
}

export function header(name: string, value: string): { headers: object[] } {
  return { headers: [{ type: 'Exact', name, value }] };
}

export function query(name: string, value: string): { queryParams: object[] } {
  return { queryParams: [{ type: 'Exact', name, value }] };
}

export function setHeaders(
  values: Readonly<Record<string, string>>,
): { name: string; value: string }[] {
  return Object.entries(values).map(([name, value]) => ({ name, value }));
}
