import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Ajv } from 'ajv';
import { MemoryKube } from '../runtime/kubernetes/memory.ts';
import {
  CLUSTER_ROLES,
  CUSTOM_RESOURCE_DEFINITIONS,
  DAEMON_SETS,
  DEPLOYMENTS,
  type Resource,
  SERVICES,
} from '../runtime/kubernetes/resources.ts';
import type {
  Container,
  DaemonSet,
  Deployment,
  KubeObject,
  Service,
} from './controllers/objects.ts';
import { matchesLabels, matchesSelector } from './controllers/selector.ts';
import { installManifests, type Manifest, MESH_FOLDERS, readManifests } from './install.ts';

type Definition = KubeObject & {
  spec: {
    names: { plural: string; kind: string };
    group: string;
    versions: { schema: { openAPIV3Schema: object } }[];
  };
};

const FOLDERS = [...MESH_FOLDERS, 'shop'];
const manifests = (await Promise.all(FOLDERS.map(readManifests))).flat();

function ofKind<T extends KubeObject>(kind: string, from: readonly Manifest[] = manifests): T[] {
  return from.filter(({ object }) => object.kind === kind).map(({ object }) => object as T);
}

type Applied = Parameters<MemoryKube['apply']>[1];

/** Establishes definitions at once, as an API server does. */
class Establishing extends MemoryKube {
  override apply<T extends Applied>(resource: Resource, object: T): Promise<T> {
    const conditions = [{ type: 'Established', status: 'True' }];
    const definition = resource === CUSTOM_RESOURCE_DEFINITIONS;
    return super.apply(resource, definition ? { ...object, status: { conditions } } : object);
  }
}

describe('installManifests()', () => {
  test('applies what others need before those who need it', async () => {
    const client = new Establishing();
    await installManifests(client, FOLDERS);
    const created = client.calls.filter((call) => call.startsWith('create'));
    const first = (plural: string) => created.indexOf(`create ${plural}`);
    const order = [
      'namespaces',
      'customresourcedefinitions',
      'serviceaccounts',
      'clusterroles',
      'services',
      'deployments',
    ].map(first);
    assert.ok(!order.includes(-1));
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
  });

  test('twice is the same as once', async () => {
    const client = new Establishing();
    await installManifests(client, FOLDERS);
    const { items } = await client.list(SERVICES);
    await installManifests(client, FOLDERS);
    assert.equal((await client.list(SERVICES)).items.length, items.length);
    assert.ok((await client.list(CLUSTER_ROLES)).items.length >= 2);
  });

  test('leaves definitions of the Gateway API that the cluster has from somebody else', async () => {
    const client = new Establishing();
    const name = 'gateways.gateway.networking.k8s.io';
    const metadata = { name, annotations: { 'api-approved.kubernetes.io': 'https://example.com' } };
    await client.apply(CUSTOM_RESOURCE_DEFINITIONS, { metadata });
    await installManifests(client, ['gateway-api']);
    const kept = await client.get<Definition>(CUSTOM_RESOURCE_DEFINITIONS, name);
    assert.equal(kept?.spec, undefined);
    const { items } = await client.list(CUSTOM_RESOURCE_DEFINITIONS);
    assert.equal(items.length, 8);
  });

  test('renews those it has installed itself', async () => {
    const client = new Establishing();
    await installManifests(client, ['gateway-api']);
    const name = 'gateways.gateway.networking.k8s.io';
    await client.patch(CUSTOM_RESOURCE_DEFINITIONS, name, undefined, { spec: { names: null } });
    await installManifests(client, ['gateway-api']);
    const renewed = await client.get<Definition>(CUSTOM_RESOURCE_DEFINITIONS, name);
    assert.equal(renewed?.spec.names.kind, 'Gateway');
  });

  test('names the file and the kind that it cannot install', async () => {
    const client = new Establishing();
    client.breakDown();
    await assert.rejects(installManifests(client, ['base']), /Cannot install .*namespace\.yaml/);
  });

  test('refuses a folder that is not there', async () => {
    await assert.rejects(installManifests(new Establishing(), ['nonsense']), /ENOENT.*nonsense/);
  });
});

describe('manifests/', () => {
  const workloads = [
    ...ofKind<Deployment>(DEPLOYMENTS.kind),
    ...ofKind<DaemonSet>(DAEMON_SETS.kind),
  ];

  test('every workload selects its own pods, and names a ServiceAccount that is installed', () => {
    const accounts = ofKind('ServiceAccount').map(keyOf);
    for (const workload of workloads) {
      const { selector, template } = workload.spec ?? {};
      assert.ok(matchesSelector(selector, template?.metadata?.labels), keyOf(workload));
      const account = template?.spec?.['serviceAccountName'];
      assert.ok(accounts.includes(`${workload.metadata.namespace}/${account}`), keyOf(workload));
    }
  });

  test('every service selects one workload and reaches a port of it', () => {
    for (const service of ofKind<Service>('Service')) {
      const chosen = workloads.filter(
        ({ metadata, spec }) =>
          metadata.namespace === service.metadata.namespace &&
          matchesLabels(service.spec?.selector ?? {}, spec?.template?.metadata?.labels),
      );
      assert.equal(chosen.length, 1, keyOf(service));
      const ports = (chosen[0]?.spec?.template?.spec?.containers ?? []).flatMap(
        (container: Container) => container.ports ?? [],
      );
      for (const { targetPort } of service.spec?.ports ?? []) {
        assert.ok(
          ports.some(({ name, containerPort }) => [name, containerPort].includes(targetPort)),
          `${keyOf(service)} port ${targetPort}`,
        );
      }
    }
  });

  test('what the mesh consists of lives in ambit-system and is out of the mesh itself', () => {
    for (const { file, object } of manifests.filter(({ file: name }) => !name.includes('/shop/'))) {
      const { namespace } = object.metadata;
      assert.ok(namespace === undefined || namespace === 'ambit-system', file);
    }
    for (const workload of workloads.filter((one) => one.metadata.namespace === 'ambit-system')) {
      const mode = workload.spec?.template?.metadata?.labels?.['ambit-mesh.io/mode'];
      assert.equal(mode, 'none', keyOf(workload));
    }
  });

  test('no role may do anything to everything', () => {
    type Role = KubeObject & { rules: { verbs: string[]; resources: string[] }[] };
    for (const role of [...ofKind<Role>('ClusterRole'), ...ofKind<Role>('Role')]) {
      for (const { verbs, resources } of role.rules) {
        assert.ok(![...verbs, ...resources].includes('*'), role.metadata.name);
      }
    }
  });

  test('the next node agent starts beside the present one, and has no rights in Kubernetes', () => {
    const [agent] = ofKind<DaemonSet>('DaemonSet');
    assert.deepEqual(agent?.spec?.updateStrategy?.rollingUpdate, {
      maxSurge: 1,
      maxUnavailable: 0,
    });
    const { spec } = agent?.spec?.template ?? {};
    // ports of host-network pods count as taken on the node: no other pod could be placed beside it
    assert.ok(spec?.containers?.every((container) => container.ports === undefined));
    assert.equal(spec?.['automountServiceAccountToken'], false);
    const bound = manifests.filter(({ object }) => JSON.stringify(object).includes('"subjects"'));
    assert.ok(!JSON.stringify(bound).includes('ambit-node-agent'));
  });
});

describe('custom resources', () => {
  const definitions = ofKind<Definition>('CustomResourceDefinition');

  function accepts(kind: string, spec: unknown): boolean {
    const definition = definitions.find((one) => one.spec.names.kind === kind);
    const schema = definition?.spec.versions[0]?.schema.openAPIV3Schema ?? {};
    const ajv = new Ajv({ strict: false, logger: false });
    return ajv.validate(schema, { spec });
  }

  test('have no field that kubectl would read as true or false (YAML 1.1)', () => {
    for (const { metadata, spec } of definitions) {
      if (!spec.group.endsWith('ambit-mesh.io')) continue;
      const fields = spec.versions.flatMap(({ schema }) => fieldsIn(schema.openAPIV3Schema));
      assert.ok(fields.length > 0);
      const words = fields.filter((name) => /^(y|n|yes|no|on|off|true|false)$/i.test(name));
      assert.deepEqual(words, [], metadata.name);
    }
  });

  test('are named after what they define', () => {
    assert.ok(definitions.length > 0);
    for (const { metadata, spec } of definitions) {
      assert.equal(metadata.name, `${spec.names.plural}.${spec.group}`);
    }
  });

  for (const { name, kind, spec, valid } of [
    {
      name: 'strict mesh-wide',
      kind: 'PeerAuthentication',
      spec: { mtls: { mode: 'STRICT' } },
      valid: true,
    },
    {
      name: 'an unknown mode',
      kind: 'PeerAuthentication',
      spec: { mtls: { mode: 'strict' } },
      valid: false,
    },
    {
      name: 'a port left open',
      kind: 'PeerAuthentication',
      spec: {
        selector: { matchLabels: { app: 'web' } },
        portLevelMtls: { 8080: { mode: 'DISABLE' } },
      },
      valid: true,
    },
    { name: 'allow nothing', kind: 'AuthorizationPolicy', spec: {}, valid: true },
    {
      name: 'one account on one port',
      kind: 'AuthorizationPolicy',
      spec: {
        action: 'ALLOW',
        rules: [
          {
            from: [{ source: { principals: ['cluster.local/ns/shop/sa/web'] } }],
            to: [{ operation: { ports: ['8080'] } }],
            when: [{ key: 'source.namespace', values: ['shop'] }],
          },
        ],
      },
      valid: true,
    },
    {
      name: 'an unknown action',
      kind: 'AuthorizationPolicy',
      spec: { action: 'PERMIT' },
      valid: false,
    },
    {
      name: 'a port that is not text',
      kind: 'AuthorizationPolicy',
      spec: { rules: [{ to: [{ operation: { ports: [8080] } }] }] },
      valid: false,
    },
    {
      name: 'a condition without key',
      kind: 'AuthorizationPolicy',
      spec: { rules: [{ when: [{}] }] },
      valid: false,
    },
    {
      name: 'tokens of one issuer',
      kind: 'RequestAuthentication',
      spec: {
        jwtRules: [{ issuer: 'https://login.example', jwksUri: 'https://login.example/keys' }],
      },
      valid: true,
    },
    {
      name: 'tokens of nobody',
      kind: 'RequestAuthentication',
      spec: { jwtRules: [{}] },
      valid: false,
    },
  ]) {
    test(`${kind}: ${name} is ${valid ? 'accepted' : 'refused'}`, () => {
      assert.equal(accepts(kind, spec), valid);
    });
  }
});

function keyOf({ metadata }: KubeObject): string {
  return `${metadata.namespace}/${metadata.name}`;
}

function fieldsIn(schema: object): string[] {
  return Object.entries(schema).flatMap(([key, value]: [string, unknown]): string[] => {
    if (typeof value !== 'object' || value === null) return [];
    return key === 'properties' ? [...Object.keys(value), ...fieldsIn(value)] : fieldsIn(value);
  });
}
