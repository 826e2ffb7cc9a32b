// A Gateway whose certificates, listeners and proxies are replaced under load, which the Gateway API's suite does not ask
// for: no request fails by it. Run by gateway.test.ts.

import assert from 'node:assert/strict';
import type { Pod } from '../../runtime/kubernetes/objects.ts';
import { GATEWAYS, PODS, SECRETS } from '../../runtime/kubernetes/resources.ts';
import { createAuthority } from '../../sandbox/apiserver/auth/certificates.ts';
import { waitFor } from '../support/wait-for.ts';
import { wordsOf } from './expectation.ts';
import { to } from './gateway-matching.ts';
import { type GatewayStage, gatewayParent, INFRA, through, tlsSecret } from './gateway-stage.ts';
import { expectGateway, type Gateway, LISTENING } from './gateway-status.ts';
import { httpRoute } from './objects.ts';
import { askAll } from './requests.ts';
import { attach } from './routes.ts';

type LifeTest = { readonly name: string; readonly run: (stage: GatewayStage) => Promise<void> };

const HOST = 'life.wildcard.org';
const GATEWAY = 'shared';
/** Of one run of the client: long enough that most of the time somebody asks. */
const REQUESTS = 200;

/** Asks by HTTPS, each time on a new connection, until `work` is done. @throws Error with the first answers that were bad */
async function underLoad(stage: GatewayStage, work: () => Promise<void>): Promise<number> {
  // whichever certificate is shown at the moment
  const row = through(stage, { url: `https://${HOST}/`, via: 'rotated', words: ['--ca='] });
  const words = wordsOf(row).filter((word) => word !== '--ca=');
  const order = [...words, `--count=${REQUESTS}`, '--timeout=20000'];
  let over = false;
  let asked = 0;
  const bad: string[] = [];
  const load = async (): Promise<void> => {
    while (!over) {
      const [results = []] = await askAll(stage, stage.usual, [order]);
      asked += results.length;
      for (const result of results) {
        if (!result.ok) bad.push(result.error);
        else if (result.status !== 200) bad.push(`status ${result.status}`);
      }
    }
  };
  const loading = load();
  await work().finally(() => {
    over = true;
  });
  await loading;
  assert.deepEqual([...new Set(bad)], [], `${bad.length} of ${asked} requests failed`);
  return asked;
}

export const GATEWAY_LIFE: readonly LifeTest[] = [
  {
    name: 'a certificate, listeners and all proxies are replaced, and no request fails',
    async run(stage) {
      const { client, kubectl } = stage.sandbox;
      await attach(stage.sandbox, [
        httpRoute(INFRA, 'life', {
          parentRefs: [gatewayParent('rotated')],
          hostnames: [HOST],
          rules: [to('v1')],
        }),
      ]);
      const authority = await createAuthority(Date.now());
      const pair = await authority.issue({ commonName: 'life', hosts: [HOST] });
      const asked = await underLoad(stage, async () => {
        const { data } = tlsSecret(INFRA, 'life', pair) as unknown as { data: object };
        await client.patch(SECRETS, 'listeners-rotated', INFRA, { data });
        const present = await client.get<Gateway>(GATEWAYS, GATEWAY, INFRA);
        const { listeners = [] } = present?.spec ?? {};
        const more = [...listeners, { name: 'more', port: 8099, protocol: 'HTTP' }];
        await client.patch(GATEWAYS, GATEWAY, INFRA, { spec: { listeners: more } });
        await expectGateway(stage.sandbox, INFRA, GATEWAY, { listeners: { more: LISTENING } });
        await client.patch(GATEWAYS, GATEWAY, INFRA, { spec: { listeners } });
        await expectGateway(stage.sandbox, INFRA, GATEWAY);
        const labelSelector = `gateway.networking.k8s.io/gateway-name=${GATEWAY}`;
        const old = await client.list<Pod>(PODS, { namespace: INFRA, labelSelector });
        const gone = new Set(old.items.map(({ metadata }) => metadata.name));
        await kubectl(['rollout', 'restart', `deployment/${GATEWAY}`, '-n', INFRA]);
        await waitFor<Pod>(client, PODS, { namespace: INFRA, labelSelector }, (pods) =>
          pods.every(({ metadata }) => !gone.has(metadata.name)),
        );
      });
      assert.ok(asked > REQUESTS, `${asked} requests were made: none while it went on`);
    },
  },
];
