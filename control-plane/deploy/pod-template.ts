// The pod that runs a Gateway's proxy. Pure. Called by desired.ts.

import { MODE_LABEL } from '../../mesh/namespace.ts';
import { TUNNEL_PORT } from '../../mesh/own-ports.ts';
import type { Gateway } from '../../runtime/kubernetes/gateway-objects.ts';
import { ROOT_MAP } from '../../wire/rotation.ts';
import type { GatewayKind } from './gateway-kind.ts';
import type { Tree } from './overlay.ts';
import type { DeploySettings } from './settings.ts';

export const STATUS_PORT = 15021;
export const METRICS_PORT = 15020;
/** On its loopback. */
export const ADMIN_PORT = 15000;
/** Told to the proxy too: open connections get this long to end. */
const GRACE_SECONDS = 30;
/** As all components of the mesh run. */
const USER = 1337;
const TOKEN_DIRECTORY = '/var/run/secrets/tokens';
const ROOT_DIRECTORY = '/var/run/secrets/ambit';

export function podTemplate(
  gateway: Gateway,
  kind: GatewayKind,
  labels: { readonly pod: Readonly<Record<string, string>>; readonly selector: Tree },
  settings: DeploySettings,
): Tree {
  const { name = '', namespace = '' } = gateway.metadata;
  return {
    metadata: {
      // out of the mesh as a workload: what it is part of it does by itself
      labels: { ...labels.pod, [MODE_LABEL]: 'none' },
      annotations: {
        ...gateway.spec.infrastructure?.annotations,
        'prometheus.io/scrape': 'true',
        'prometheus.io/port': String(METRICS_PORT),
      },
    },
    spec: {
      // the variables Kubernetes makes of Services would be taken for settings of ours
      enableServiceLinks: false,
      serviceAccountName: name,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: GRACE_SECONDS,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: USER,
        runAsGroup: USER,
        fsGroup: USER,
        seccompProfile: { type: 'RuntimeDefault' },
        ...(kind === 'ingress' ? { sysctls: [LOW_PORTS] } : {}),
      },
      // wishes only: two replicas on one node are better than one
      topologySpreadConstraints: ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map(
        (topologyKey) => ({
          topologyKey,
          maxSkew: 1,
          whenUnsatisfiable: 'ScheduleAnyway',
          labelSelector: { matchLabels: labels.selector },
        }),
      ),
      containers: [
        {
          name: 'proxy',
          image: settings.image,
          imagePullPolicy: 'IfNotPresent',
          env: environment(`${namespace}/${name}`, kind, settings),
          ports: portsOf(kind),
          readinessProbe: {
            httpGet: { path: '/healthz/ready', port: STATUS_PORT },
            periodSeconds: 2,
            failureThreshold: 3,
          },
          resources: {
            requests: { cpu: '100m', memory: '128Mi' },
            limits: { memory: '1Gi' },
          },
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          volumeMounts: [
            { name: 'ambit-token', mountPath: TOKEN_DIRECTORY, readOnly: true },
            { name: 'ca-root-cert', mountPath: ROOT_DIRECTORY, readOnly: true },
          ],
        },
      ],
      volumes: [
        {
          name: 'ambit-token',
          projected: {
            sources: [
              {
                serviceAccountToken: {
                  path: 'ambit-token',
                  audience: settings.audience,
                  expirationSeconds: 43_200,
                },
              },
            ],
          },
        },
        { name: 'ca-root-cert', configMap: { name: ROOT_MAP } },
      ],
    },
  };
}

/** Of Kubernetes' safe ones: who is not root may listen on 80 and 443. */
const LOW_PORTS = { name: 'net.ipv4.ip_unprivileged_port_start', value: '0' };

function environment(gateway: string, kind: GatewayKind, settings: DeploySettings): Tree[] {
  const field = (name: string, fieldPath: string): Tree => ({
    name,
    valueFrom: { fieldRef: { fieldPath } },
  });
  const said: Readonly<Record<string, string>> = {
    AMBIT_GATEWAY: gateway,
    AMBIT_GATEWAY_KIND: kind,
    AMBIT_NAMESPACE: settings.namespace,
    AMBIT_TRUST_DOMAIN: settings.trustDomain,
    AMBIT_CLUSTER_DOMAIN: settings.clusterDomain,
    AMBIT_CLUSTER_ID: settings.cluster,
    AMBIT_NETWORK: settings.network,
    AMBIT_CA_ADDRESS: settings.caAddress,
    AMBIT_CONTROL_PLANE_ADDRESS: settings.controlPlaneAddress,
    AMBIT_TOKEN_FILE: `${TOKEN_DIRECTORY}/ambit-token`,
    AMBIT_ROOT_CERT_FILE: `${ROOT_DIRECTORY}/root-cert.pem`,
    AMBIT_TERMINATION_GRACE: `${GRACE_SECONDS}s`,
    ...(settings.otlpEndpoint !== undefined && { AMBIT_OTLP_ENDPOINT: settings.otlpEndpoint }),
    ...(settings.traceSampling !== undefined && { AMBIT_TRACE_SAMPLING: settings.traceSampling }),
  };
  return [
    field('POD_NAME', 'metadata.name'),
    field('POD_NAMESPACE', 'metadata.namespace'),
    field('NODE_NAME', 'spec.nodeName'),
    field('SERVICE_ACCOUNT', 'spec.serviceAccountName'),
    ...Object.entries(said).map(([name, value]) => ({ name, value })),
  ];
}

/** Listeners open and close while the pod runs: their ports, said here, would make it anew each time. */
function portsOf(kind: GatewayKind): Tree[] {
  const own = kind === 'waypoint' ? [TUNNEL_PORT] : [];
  return [...own, METRICS_PORT, STATUS_PORT].map((containerPort) => ({ containerPort }));
}
