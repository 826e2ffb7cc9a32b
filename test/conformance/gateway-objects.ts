// Gateways as objects: what their statuses say of listeners that are fine and of those that are not, of changes, and of the
// routes attached. Run by gateway.test.ts; the values are those of the Gateway API's suite, several faulty listeners to one
// Gateway, because each Gateway is a process.

import type { Pod } from '../../runtime/kubernetes/objects.ts';
import {
  GATEWAY_CLASSES,
  GATEWAYS,
  HTTP_ROUTES,
  PODS,
  REFERENCE_GRANTS,
  SECRETS,
} from '../../runtime/kubernetes/resources.ts';
import { createAuthority } from '../../sandbox/apiserver/auth/certificates.ts';
import type { Sandbox } from '../support/sandbox.ts';
import { waitFor } from '../support/wait-for.ts';
import { conditionProblems } from './conditions.ts';
import { to } from './gateway-matching.ts';
import { type GatewayStage, gateway, INFRA, tlsSecret, WEB } from './gateway-stage.ts';
import {
  expectGateway,
  type GatewayVerdict,
  LISTENING,
  type ListenerVerdict,
  PROGRAMMED,
} from './gateway-status.ts';
import { INGRESS_CLASS } from './names.ts';
import { httpRoute } from './objects.ts';
import { attach } from './routes.ts';

type ObjectTest = { readonly name: string; readonly run: (stage: GatewayStage) => Promise<void> };

const LABEL = 'example.com/owner';

function http(name: string, port: number, more: object = {}): object {
  return { name, port, protocol: 'HTTP', ...more };
}

function https(name: string, port: number, ref: object): object {
  return { name, port, protocol: 'HTTPS', tls: { mode: 'Terminate', certificateRefs: [ref] } };
}

function routeKinds(...kinds: readonly string[]): object {
  return { allowedRoutes: { kinds: kinds.map((kind) => ({ kind })) } };
}

function unresolved(reason: string, supportedKinds?: readonly string[]): ListenerVerdict {
  return {
    conditions: { ResolvedRefs: `False/${reason}` },
    ...(supportedKinds === undefined ? {} : { supportedKinds }),
  };
}

function changeListeners({ client }: Sandbox, name: string, listeners: object[]): Promise<unknown> {
  return client.patch(GATEWAYS, name, INFRA, { spec: { listeners } });
}

function attached(http80: number): GatewayVerdict {
  return { ...PROGRAMMED, listeners: { http: { ...LISTENING, attachedRoutes: http80 } } };
}

export const GATEWAY_OBJECTS: readonly ObjectTest[] = [
  {
    name: 'GatewayClassObservedGenerationBump',
    async run({ sandbox: { client } }) {
      await client.patch(GATEWAY_CLASSES, INGRESS_CLASS, undefined, {
        spec: { description: 'changed by a test' },
      });
      type Class = Parameters<typeof isAccepted>[0];
      await waitFor<Class>(client, GATEWAY_CLASSES, {}, (all) => all.some(isAccepted));
    },
  },
  {
    name: 'GatewayModifyListeners, GatewayObservedGenerationBump, GatewayWithAttachedRoutes, GatewayInfrastructure',
    async run({ sandbox }) {
      const { client } = sandbox;
      const object = gateway('modified', [http('http', 80)]);
      const infrastructure = { labels: { [LABEL]: 'tests' }, annotations: { [LABEL]: 'noted' } };
      await client.create(GATEWAYS, { ...object, spec: { ...object.spec, infrastructure } });
      await expectGateway(sandbox, INFRA, 'modified', attached(0));
      const parentRefs = [{ name: 'modified', sectionName: 'http' }];
      const rules = [to('v1')];
      await attach(sandbox, [httpRoute(INFRA, 'attached-1', { parentRefs, rules })]);
      await expectGateway(sandbox, INFRA, 'modified', attached(1));
      const missing = [{ backendRefs: [{ name: 'nonexistent', port: 8080 }] }];
      // it counts, though its backend is not there
      await attach(sandbox, [httpRoute(INFRA, 'attached-2', { parentRefs, rules: missing })], {
        accepted: 'True',
        resolvedRefs: 'False/BackendNotFound',
      });
      await expectGateway(sandbox, INFRA, 'modified', attached(2));
      const more = [http('http', 80), http('more', 8080)];
      await changeListeners(sandbox, 'modified', more);
      await expectGateway(sandbox, INFRA, 'modified', {
        ...attached(2),
        listeners: { http: { attachedRoutes: 2 }, more: { ...LISTENING, attachedRoutes: 0 } },
      });
      await changeListeners(sandbox, 'modified', [http('http', 80)]);
      await client.delete(HTTP_ROUTES, 'attached-2', INFRA);
      await expectGateway(sandbox, INFRA, 'modified', attached(1));
      const labelSelector = `gateway.networking.k8s.io/gateway-name=modified,${LABEL}=tests`;
      await waitFor<Pod>(client, PODS, { namespace: INFRA, labelSelector }, (pods) =>
        pods.some(({ metadata }) => metadata.annotations?.[LABEL] === 'noted'),
      );
    },
  },
  {
    name: 'GatewayInvalidRouteKind, GatewayInvalidTLSConfiguration, GatewaySecretMissingReferenceGrant',
    async run({ sandbox }) {
      const { client } = sandbox;
      await client.create(
        SECRETS,
        tlsSecret(INFRA, 'malformed', { certPem: 'Hello world', keyPem: 'Hello world' }),
      );
      await client.create(
        GATEWAYS,
        gateway('faulty', [
          http('good', 80),
          http('no-kind', 81, routeKinds('InvalidRoute')),
          http('one-kind', 82, routeKinds('InvalidRoute', 'HTTPRoute')),
          https('missing', 443, { name: 'nonexistent' }),
          https('other-group', 444, { group: 'wrong.group.company.io', name: 'listeners' }),
          https('other-kind', 445, { kind: 'WrongKind', name: 'listeners' }),
          https('malformed', 446, { name: 'malformed' }),
          https('not-granted', 447, { name: 'not-granted', namespace: WEB }),
        ]),
      );
      await expectGateway(sandbox, INFRA, 'faulty', {
        listeners: {
          good: LISTENING,
          'no-kind': unresolved('InvalidRouteKinds', []),
          'one-kind': unresolved('InvalidRouteKinds', ['HTTPRoute']),
          missing: unresolved('InvalidCertificateRef'),
          'other-group': unresolved('InvalidCertificateRef'),
          'other-kind': unresolved('InvalidCertificateRef'),
          malformed: unresolved('InvalidCertificateRef'),
          'not-granted': unresolved('RefNotPermitted'),
        },
      });
    },
  },
  {
    name: 'GatewaySecretReferenceGrantAllInNamespace, GatewaySecretReferenceGrantSpecific, GatewaySecretInvalidReferenceGrant',
    async run({ sandbox }) {
      const { client } = sandbox;
      const authority = await createAuthority(Date.now());
      const pair = await authority.issue({ commonName: 'granted', hosts: ['granted.example'] });
      for (const name of ['secret-1', 'secret-2']) {
        await client.create(SECRETS, tlsSecret(WEB, name, pair));
      }
      const from = [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', namespace: INFRA }];
      const toSecret = [{ group: '', kind: 'Secret', name: 'secret-1' }];
      await client.create(REFERENCE_GRANTS, {
        metadata: { name: 'one-secret', namespace: WEB },
        spec: { from, to: toSecret },
      });
      await client.create(
        GATEWAYS,
        gateway('granted', [
          https('specific', 443, { name: 'secret-1', namespace: WEB }),
          https('other', 444, { name: 'secret-2', namespace: WEB }),
        ]),
      );
      await expectGateway(sandbox, INFRA, 'granted', {
        listeners: { specific: LISTENING, other: unresolved('RefNotPermitted') },
      });
      await client.create(REFERENCE_GRANTS, {
        metadata: { name: 'all-secrets', namespace: WEB },
        spec: { from, to: [{ group: '', kind: 'Secret' }] },
      });
      await expectGateway(sandbox, INFRA, 'granted', {
        ...PROGRAMMED,
        listeners: { specific: LISTENING, other: LISTENING },
      });
    },
  },
  {
    name: 'GatewayListenerUnsupportedProtocol, GatewayInvalidParametersRef',
    async run({ sandbox }) {
      const { client } = sandbox;
      const odd = { name: 'odd', port: 90, protocol: 'example.com/odd' };
      await client.create(GATEWAYS, gateway('all-odd', [odd]));
      await client.create(GATEWAYS, gateway('partly-odd', [odd, http('http', 80)]));
      const parametersRef = { group: 'example.com', kind: 'Nothing', name: 'nonexistent' };
      const object = gateway('odd-parameters', [http('http', 80)]);
      await client.create(GATEWAYS, {
        ...object,
        spec: { ...object.spec, infrastructure: { parametersRef } },
      });
      const listeners = { odd: { conditions: { Accepted: 'False/UnsupportedProtocol' } } } as const;
      await expectGateway(sandbox, INFRA, 'all-odd', {
        conditions: { Accepted: 'False/ListenersNotValid' },
        listeners,
      });
      await expectGateway(sandbox, INFRA, 'partly-odd', {
        conditions: { Accepted: 'True/ListenersNotValid' },
        listeners: { ...listeners, http: { conditions: { Accepted: 'True' } } },
      });
      await expectGateway(sandbox, INFRA, 'odd-parameters', {
        conditions: { Accepted: 'False/InvalidParameters' },
      });
    },
  },
];

function isAccepted({
  metadata,
  status,
}: {
  readonly metadata: { readonly name?: string; readonly generation?: number };
  readonly status?: { readonly conditions?: Parameters<typeof conditionProblems>[0] };
}): boolean {
  return (
    metadata.name === INGRESS_CLASS &&
    conditionProblems(status?.conditions ?? [], { Accepted: 'True' }, metadata.generation ?? 0)
      .length === 0
  );
}
