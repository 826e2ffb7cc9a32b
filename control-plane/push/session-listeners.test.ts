// Private keys of listeners: whom they are sent to, and whom not.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { GatewayListeners } from '../../mesh/gateway-listeners.ts';
import { SecretText } from '../../mesh/secret-text.ts';
import { decodeListeners, TYPE_LISTENERS } from '../../wire/listeners-resource.ts';
import { Store } from '../store.ts';
import { Session } from './session.ts';
import { ack, names, publish, REQUEST } from './test-world.ts';

function listenersOf(gateway: string, key: string): GatewayListeners {
  const certificates = [{ chainPem: 'CHAIN', keyPem: new SecretText(key) }];
  const serves = { kind: 'https', certificates } as const;
  return { gateway, listeners: [{ name: 'https', port: 443, hostname: '', serves }] };
}

const BOTH = [listenersOf('shop/edge', 'K1'), listenersOf('bank/edge', 'K2')];

function asking(store: Store, gateway: string | undefined): Session {
  const session = new Session({ publication: store.current }, { node: 'n1', gateway });
  session.receive({ ...REQUEST, typeUrl: TYPE_LISTENERS });
  return session;
}

describe('listeners in discovery', () => {
  test('go to proxies of their own Gateway only, whoever asks', () => {
    const store = new Store();
    publish(store, { listeners: BOTH });
    const edge = asking(store, 'shop/edge').next();
    assert.deepEqual(names(edge), ['shop/edge']);
    const [body] = edge?.resources.map((one) => decodeListeners(one.body)) ?? [];
    const serves = body?.listeners[0]?.serves;
    assert.equal(serves?.kind === 'https' && serves.certificates[0]?.keyPem.reveal(), 'K1');
    assert.deepEqual(names(asking(store, 'shop/other').next()), []);
    // a node agent
    assert.deepEqual(names(asking(store, undefined).next()), []);
  });

  test('a proxy that claims to have another Gateway’s is told that they are gone', () => {
    const store = new Store();
    publish(store, { listeners: BOTH });
    const session = new Session({ publication: store.current }, { node: undefined });
    const initialVersions = new Map([['shop/edge', 'x']]);
    session.receive({ ...REQUEST, typeUrl: TYPE_LISTENERS, initialVersions });
    const answer = session.next();
    assert.deepEqual([names(answer), answer?.removed], [[], ['shop/edge']]);
  });

  test('a new key is sent again, an unchanged one is not', () => {
    const store = new Store();
    publish(store, { listeners: BOTH });
    const session = asking(store, 'shop/edge');
    ack(session, session.next());
    session.publish(publish(store, { listeners: BOTH.map((one) => ({ ...one })) }));
    assert.equal(session.next(), undefined);
    session.publish(publish(store, { listeners: [listenersOf('shop/edge', 'K3')] }));
    assert.deepEqual(names(session.next()), ['shop/edge']);
  });
});
