// Hosts that Kubernetes has no Service for, as their users see them: written with kubectl's verbs, told in the status, then
// resolved and reached by name from a pod of the mesh, and by nobody else.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Condition, KubeObject, Pod } from '../../runtime/kubernetes/objects.ts';
import {
  NAMESPACES,
  PODS,
  SERVICE_ENTRIES,
  SERVICES,
  STATEFUL_SETS,
  WORKLOAD_ENTRIES,
} from '../../runtime/kubernetes/resources.ts';
import type { EchoAnswer } from '../../sandbox/apps/echo/answer.ts';
import { MODE, redirectionOfAll } from '../support/enrolled.ts';
import { type Sandbox, sandboxSuite, TEST_NETWORK } from '../support/sandbox.ts';
import { call, openEchoes, startPod } from '../support/traffic.ts';
import { waitFor } from '../support/wait-for.ts';

const NAMESPACE = 'shop';
const OUTSIDE = 'partner';
const FRIEND = { namespace: NAMESPACE, name: 'friend' };
const STRANGER = { namespace: OUTSIDE, name: 'stranger' };

type Entry = KubeObject & {
  readonly spec: object;
  readonly status?: {
    readonly conditions?: readonly Condition[];
    readonly addresses?: readonly { readonly value: string; readonly host: string }[];
  };
};

// in loopback mode there is no network namespace whose DNS could be captured
const missing = TEST_NETWORK === 'loopback' ? 'DNS is not captured in loopback mode' : undefined;

sandboxSuite(
  'ServiceEntry',
  (sandbox) => {
    let outside: readonly Pod[];

    before(async () => {
      await openEchoes(sandbox(), OUTSIDE);
      outside = (await sandbox().client.list<Pod>(PODS, { namespace: OUTSIDE })).items;
      await startPod(sandbox(), { ...STRANGER, image: 'host', command: ['sleep', '1d'] });
      await sandbox().client.create(NAMESPACES, {
        metadata: { name: NAMESPACE, labels: { [MODE]: 'ambient' } },
      } as KubeObject);
      await startPod(sandbox(), { ...FRIEND, image: 'host', command: ['sleep', '1d'] });
      await redirectionOfAll(sandbox(), NAMESPACE, 'enabled');
    });

    test('what makes no sense is refused with the reason', async () => {
      const refused = async (spec: object, why: RegExp): Promise<void> => {
        await assert.rejects(create(sandbox(), 'senseless', spec), (error) => {
          assert.match((error as Error).message, why);
          return true;
        });
      };
      await refused({ hosts: ['*'] }, /spec\.hosts\[0\]: .*hostname cannot be wildcard/);
      await refused(
        { hosts: ['a.example'], resolution: 'DNS', addresses: ['192.0.2.0/24'] },
        /CIDR addresses are allowed only for NONE\/STATIC/,
      );
      await refused(
        { hosts: ['a.example'], endpoints: [{ address: '192.0.2.1' }] },
        /NONE mode cannot set endpoints/,
      );
      await refused(
        { hosts: ['a.example'], resolution: 'STATIC', endpoints: [{}] },
        /Address is required/,
      );
      await refused(
        {
          hosts: ['a.example'],
          ports: [
            { number: 80, name: 'a' },
            { number: 80, name: 'b' },
          ],
        },
        /port number cannot be duplicated/,
      );
      await refused({ hosts: [] }, /spec\.hosts/);
    });

    test('a host with static endpoints gets an address, is resolved to it and reached', async () => {
      await create(sandbox(), 'static', {
        hosts: ['api.partner.example'],
        ports: [{ number: 80, name: 'http', protocol: 'HTTP', targetPort: 8080 }],
        resolution: 'STATIC',
        endpoints: outside
          .filter(({ metadata }) => metadata.name !== STRANGER.name)
          .map(({ status }) => ({ address: status?.podIP })),
      });
      const { status } = await programmed(sandbox(), 'static');
      const [v4] = status?.addresses ?? [];
      assert.match(v4?.value ?? '', /^240\.240\./);
      assert.equal(v4?.host, 'api.partner.example');
      const answer = await reached(sandbox(), 'http://api.partner.example/');
      assert.equal(answer.namespace, OUTSIDE);
      const lookedUp = await lookup(sandbox(), FRIEND, 'api.partner.example');
      assert.equal(lookedUp, v4?.value);
    });

    test('its own search domains do not lead the pod astray', async () => {
      assert.match(
        await lookup(sandbox(), FRIEND, `echo.${OUTSIDE}`),
        /^10\./,
        'a Service of Kubernetes',
      );
      assert.equal(await lookup(sandbox(), FRIEND, 'nobody.partner.example'), 'ENOTFOUND');
    });

    test('a pod outside of the mesh knows nothing of it', async () => {
      assert.equal(await lookup(sandbox(), STRANGER, 'api.partner.example'), 'ENOTFOUND');
    });

    test('a host whose endpoint is another name is looked up for the connection', async () => {
      await create(sandbox(), 'by-name', {
        hosts: ['alias.partner.example'],
        ports: [{ number: 8080, name: 'http', protocol: 'HTTP' }],
        resolution: 'DNS',
        endpoints: [{ address: `echo.${OUTSIDE}.svc.cluster.local` }],
      });
      await programmed(sandbox(), 'by-name');
      const answer = await reached(sandbox(), 'http://alias.partner.example:8080/');
      assert.equal(answer.namespace, OUTSIDE);
    });

    test('a host below a wildcard is the wildcard', async () => {
      await create(sandbox(), 'wildcard', {
        hosts: ['*.wild.example'],
        addresses: ['192.0.2.77'],
        ports: [{ number: 8080, name: 'http', protocol: 'HTTP' }],
        resolution: 'STATIC',
        endpoints: [{ address: outside[0]?.status?.podIP }],
      });
      await programmed(sandbox(), 'wildcard');
      const answer = await reached(sandbox(), 'http://any.thing.wild.example:8080/');
      assert.equal(answer.pod, outside[0]?.metadata.name);
    });

    test('pods of the namespace that its selector picks are its endpoints', async () => {
      const labels = { role: 'partner' };
      await startPod(sandbox(), { namespace: NAMESPACE, name: 'picked', image: 'echo', labels });
      await create(sandbox(), 'selecting', {
        hosts: ['picked.example'],
        ports: [{ number: 80, name: 'http', protocol: 'HTTP', targetPort: 8080 }],
        location: 'MESH_INTERNAL',
        resolution: 'STATIC',
        workloadSelector: { labels },
      });
      await programmed(sandbox(), 'selecting');
      assert.equal((await reached(sandbox(), 'http://picked.example/')).pod, 'picked');
    });

    test('a WorkloadEntry is an endpoint of the entry that selects it', async () => {
      const machine = outside[0];
      await sandbox().client.create<Entry>(WORKLOAD_ENTRIES, {
        metadata: { name: 'vm', namespace: NAMESPACE },
        spec: {
          address: machine?.status?.podIP,
          labels: { kind: 'vm' },
          ports: { http: 8080 },
        },
      });
      await create(sandbox(), 'machines', {
        hosts: ['vm.example'],
        ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
        resolution: 'STATIC',
        workloadSelector: { labels: { kind: 'vm' } },
      });
      await programmed(sandbox(), 'machines');
      assert.equal((await reached(sandbox(), 'http://vm.example/')).pod, machine?.metadata.name);
    });

    test('a pod of a StatefulSet is known to the mesh by its own name', async () => {
      const labels = { app: 'db' };
      await sandbox().client.create<KubeObject & { spec: object }>(SERVICES, {
        metadata: { name: 'db', namespace: NAMESPACE },
        spec: { clusterIP: 'None', selector: labels, ports: [{ port: 5432 }] },
      });
      await sandbox().client.create<KubeObject & { spec: object }>(STATEFUL_SETS, {
        metadata: { name: 'db', namespace: NAMESPACE },
        spec: {
          serviceName: 'db',
          replicas: 1,
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: { containers: [{ name: 'db', image: 'host', command: ['sleep', '1d'] }] },
          },
        },
      });
      // the cluster's own DNS gives other times: the answer is the mesh's
      const program = `require('node:dns').resolve4('db-0.db.${NAMESPACE}.svc.cluster.local', { ttl: true }, (error, found) => console.log(error?.code ?? found[0].ttl + ' ' + found[0].address))`;
      let said = '';
      await until(async () => {
        const { stdout } = await sandbox().exec(FRIEND, [process.execPath, '-e', program]);
        said = stdout.trim();
        return said.startsWith('30 ');
      });
      const { status } = (await sandbox().client.get<Pod>(PODS, 'db-0', NAMESPACE))!;
      assert.equal(said, `30 ${status?.podIP}`);
    });

    test('one that is deleted is unknown again', async () => {
      await sandbox().client.delete(SERVICE_ENTRIES, 'static', NAMESPACE);
      await until(
        async () => (await lookup(sandbox(), FRIEND, 'api.partner.example')) === 'ENOTFOUND',
      );
    });
  },
  missing,
);

async function create({ client }: Sandbox, name: string, spec: object): Promise<void> {
  await client.create<Entry>(SERVICE_ENTRIES, { metadata: { name, namespace: NAMESPACE }, spec });
}

async function programmed({ client }: Sandbox, name: string): Promise<Entry> {
  const isIt = ({ metadata, status }: Entry): boolean =>
    metadata.name === name &&
    status?.conditions?.some((one) => one.type === 'Programmed' && one.status === 'True') === true;
  const all = await waitFor<Entry>(client, SERVICE_ENTRIES, { namespace: NAMESPACE }, (entries) =>
    entries.some(isIt),
  );
  return all.find(isIt)!;
}

/** The status says that the control plane has published it; the agents follow within moments. */
async function reached(sandbox: Sandbox, url: string): Promise<EchoAnswer> {
  let answer: EchoAnswer | undefined;
  await until(async () => {
    const called = await call(sandbox, FRIEND, url);
    answer = called.ok ? (called.answer as EchoAnswer) : undefined;
    return called.ok;
  });
  return answer!;
}

/** As the programs of a pod resolve: the first address, or the error's code. */
async function lookup(
  sandbox: Sandbox,
  pod: { readonly namespace: string; readonly name: string },
  name: string,
): Promise<string> {
  const program = `require('node:dns').lookup('${name}', { family: 4 }, (error, ip) => console.log(error?.code ?? ip))`;
  const { stdout } = await sandbox.exec(pod, [process.execPath, '-e', program]);
  return stdout.trim();
}

async function until(look: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await look())) {
    if (performance.now() > end) throw new Error('It did not come to be within 20 s');
  }
}
