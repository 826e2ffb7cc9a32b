// A Service that wants requests from outside to come through its waypoint too: what the waypoint does to requests is done
// to those. Run by gateway.test.ts.

import { GATEWAYS, SERVICES } from '../../runtime/kubernetes/resources.ts';
import { gatewayParent, INFRA } from './gateway-stage.ts';
import type { GatewayTest } from './gateway-test.ts';
import { USE_WAYPOINT, WAYPOINT_CLASS } from './names.ts';
import { httpRoute, serviceParent, setHeaders } from './objects.ts';

const INGRESS_USE_WAYPOINT = 'ambit-mesh.io/ingress-use-waypoint';

function service(name: string, labels: Readonly<Record<string, string>>) {
  const ports = [{ name: 'http', port: 80, targetPort: 3000, appProtocol: 'http' }];
  const spec = { selector: { app: 'infra-backend-v1' }, ports };
  return [SERVICES, { metadata: { name, namespace: INFRA, labels }, spec }] as const;
}

/** At the waypoint: its answers say that it was there. */
function marked(name: string) {
  const responseHeaderModifier = { set: setHeaders({ 'x-waypoint': 'was-here' }) };
  return httpRoute(INFRA, `${name}-waypoint`, {
    parentRefs: [serviceParent(name)],
    rules: [
      {
        filters: [{ type: 'ResponseHeaderModifier', responseHeaderModifier }],
        backendRefs: [{ name, port: 80 }],
      },
    ],
  });
}

function fromOutside(name: string) {
  return httpRoute(INFRA, `${name}-gateway`, {
    parentRefs: [gatewayParent('http')],
    hostnames: [`${name}.example`],
    rules: [{ backendRefs: [{ name, port: 80 }] }],
  });
}

export const GATEWAY_WAYPOINT: readonly GatewayTest[] = [
  {
    name: 'requests from outside go through a Service’s waypoint where it asks for that, else past it',
    needs: [
      [
        GATEWAYS,
        {
          metadata: { name: 'waypoint', namespace: INFRA },
          spec: {
            gatewayClassName: WAYPOINT_CLASS,
            listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
          },
        },
      ],
      service('through', { [USE_WAYPOINT]: 'waypoint', [INGRESS_USE_WAYPOINT]: 'true' }),
      service('past', { [USE_WAYPOINT]: 'waypoint' }),
    ],
    routes: [marked('through'), marked('past'), fromOutside('through'), fromOutside('past')],
    rows: [
      {
        url: 'http://through.example/',
        backend: 'infra-backend-v1',
        response: { headers: { 'x-waypoint': 'was-here' } },
      },
      {
        url: 'http://past.example/',
        backend: 'infra-backend-v1',
        response: { absent: ['x-waypoint'] },
      },
    ],
  },
];
