// ServiceAccount tokens: JWTs signed by the server's own key, bound to an account and optionally a pod or node.
// A token is refused as soon as what it is bound to is gone, whatever its expiry says.

import { randomUUID, webcrypto } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import {
  type Cluster,
  NODES,
  PODS,
  readObject,
  SERVICE_ACCOUNTS,
  timestamp,
  type User,
} from '../cluster.ts';
import { isRecord, type JsonObject, type KubeObject, recordAt, stringAt } from '../object.ts';

/** Who signs, and the audience of the API server itself, as on a cluster that names no other. */
export const ISSUER = 'https://kubernetes.default.svc.cluster.local';

export type TokenSettings = {
  readonly minSeconds: number;
  readonly defaultSeconds: number;
  readonly maxSeconds: number;
};

/** Bounds of a real API server: ten minutes to a day, an hour without a wish. */
export const DEFAULT_TOKEN_SETTINGS: TokenSettings = {
  minSeconds: 600,
  defaultSeconds: 3_600,
  maxSeconds: 86_400,
};

export type Bound = {
  readonly kind: 'Pod' | 'Node' | 'Secret';
  readonly name: string;
  readonly uid: string;
};
export type Issued = { readonly token: string; readonly expires: string };
export type Verified = { readonly user: User; readonly audiences: readonly string[] };

export interface Tokens {
  readonly jwks: JsonObject;
  issue(
    account: KubeObject,
    wish: {
      readonly audiences: readonly string[];
      readonly seconds: number;
      readonly bound?: KubeObject;
    },
  ): Promise<Issued>;
  /** @throws Error saying why the token is no good */
  verify(token: string, audiences: readonly string[]): Promise<Verified>;
}

/** Tokens are short; anything longer is not one. */
const MAX_TOKEN_LENGTH = 16 * 1024;

export async function createTokens(cluster: Cluster): Promise<Tokens> {
  const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ]);
  const publicJwk = await exportJWK(keys.publicKey);
  const keyId = await calculateJwkThumbprint(publicJwk);
  return {
    jwks: { keys: [{ ...publicJwk, kid: keyId, alg: 'ES256', use: 'sig' }] },
    async issue(account, { audiences, seconds, bound }) {
      const now = Math.floor(cluster.clock.now() / 1000);
      const { namespace = '', name = '', uid = '' } = account.metadata;
      const claims: JWTPayload = {
        'kubernetes.io': {
          namespace,
          serviceaccount: { name, uid },
          ...(bound === undefined ? {} : boundClaims(cluster, bound)),
        },
      };
      const token = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'ES256', kid: keyId })
        .setIssuer(ISSUER)
        .setSubject(`system:serviceaccount:${namespace}:${name}`)
        .setAudience([...audiences])
        .setIssuedAt(now)
        .setNotBefore(now)
        .setExpirationTime(now + seconds)
        .setJti(randomUUID())
        .sign(keys.privateKey);
      return { token, expires: timestamp((now + seconds) * 1000) };
    },
    async verify(token, audiences) {
      if (token.length > MAX_TOKEN_LENGTH) throw new Error('token is too long');
      const { payload } = await jwtVerify(token, keys.publicKey, {
        issuer: ISSUER,
        algorithms: ['ES256'],
        currentDate: new Date(cluster.clock.now()),
      });
      const granted = [payload.aud ?? []].flat();
      const common = audiences.filter((audience) => granted.includes(audience));
      if (common.length === 0) {
        throw new Error(
          `token audiences ${JSON.stringify(granted)} is invalid for the target audiences ${JSON.stringify(audiences)}`,
        );
      }
      return { user: boundUser(cluster, payload), audiences: common };
    },
  };
}

function boundClaims(cluster: Cluster, bound: KubeObject): JsonObject {
  const reference = { name: bound.metadata.name ?? '', uid: bound.metadata.uid ?? '' };
  if (bound.kind === 'Node') return { node: reference };
  if (bound.kind === 'Secret') return { secret: reference };
  const nodeName = stringAt(bound['spec'], 'nodeName') ?? '';
  const node = nodeName === '' ? undefined : readObject(cluster, NODES, nodeName);
  if (nodeName === '') return { pod: reference };
  return {
    pod: reference,
    node: {
      name: nodeName,
      ...(node?.metadata.uid === undefined ? {} : { uid: node.metadata.uid }),
    },
  };
}

/** The user of a signature-checked token, if everything the token is bound to still exists. */
function boundUser(cluster: Cluster, payload: JWTPayload): User {
  const claims = payload['kubernetes.io'];
  if (!isRecord(claims)) throw new Error('token has no kubernetes.io claims');
  const namespace = stringAt(claims, 'namespace') ?? '';
  const account = recordAt(claims, 'serviceaccount');
  const name = stringAt(account, 'name') ?? '';
  const stored = readObject(cluster, SERVICE_ACCOUNTS, name, namespace);
  if (stored === undefined)
    throw new Error(`service account ${namespace}/${name} has been deleted`);
  if (stored.metadata.uid !== account['uid']) {
    throw new Error(
      `the UID in the token does not match that of service account ${namespace}/${name}`,
    );
  }
  const extra: Record<string, string[]> = {};
  const jti = payload.jti;
  if (jti !== undefined) extra['authentication.kubernetes.io/credential-id'] = [`JTI=${jti}`];
  const pod = recordAt(claims, 'pod');
  const podName = stringAt(pod, 'name');
  if (podName !== undefined) {
    const storedPod = readObject(cluster, PODS, podName, namespace);
    if (storedPod === undefined) throw new Error(`pod ${namespace}/${podName} has been deleted`);
    if (storedPod.metadata.uid !== pod['uid']) {
      throw new Error(`the UID in the token does not match that of pod ${namespace}/${podName}`);
    }
    extra['authentication.kubernetes.io/pod-name'] = [podName];
    extra['authentication.kubernetes.io/pod-uid'] = [String(pod['uid'])];
  }
  const node = recordAt(claims, 'node');
  const nodeName = stringAt(node, 'name');
  if (nodeName !== undefined) {
    const storedNode = readObject(cluster, NODES, nodeName);
    if (podName === undefined && storedNode?.metadata.uid !== node['uid']) {
      throw new Error(`node ${nodeName} has been deleted`);
    }
    extra['authentication.kubernetes.io/node-name'] = [nodeName];
    const nodeUid = stringAt(node, 'uid');
    if (nodeUid !== undefined) extra['authentication.kubernetes.io/node-uid'] = [nodeUid];
  }
  return {
    name: `system:serviceaccount:${namespace}:${name}`,
    uid: stored.metadata.uid ?? '',
    groups: [
      'system:serviceaccounts',
      `system:serviceaccounts:${namespace}`,
      'system:authenticated',
    ],
    extra,
  };
}
