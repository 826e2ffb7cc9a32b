// POST serviceaccounts/NAME/token: a new token for an account, bound to a pod, node or secret if asked.

import type { TokenSettings, Tokens } from '../auth/tokens.ts';
import { ISSUER } from '../auth/tokens.ts';
import { type Cluster, NODES, PODS, readObject, SERVICE_ACCOUNTS } from '../cluster.ts';
import {
  conflict,
  type FieldError,
  invalid,
  invalidValue,
  notFound,
  notSupported,
} from '../errors.ts';
import {
  isRecord,
  type JsonObject,
  type KubeObject,
  listAt,
  recordAt,
  stringAt,
} from '../object.ts';

const TOKEN_REQUEST = { group: 'authentication.k8s.io', kind: 'TokenRequest' };

export async function issueAccountToken(
  parts: { readonly cluster: Cluster; readonly tokens: Tokens; readonly settings: TokenSettings },
  account: { readonly namespace: string; readonly name: string },
  body: unknown,
  dryRun: boolean,
): Promise<JsonObject> {
  const { cluster, tokens, settings } = parts;
  const stored = readObject(cluster, SERVICE_ACCOUNTS, account.name, account.namespace);
  if (stored === undefined) throw notFound(SERVICE_ACCOUNTS, account.name);
  const spec = recordAt(body, 'spec');
  const wished = spec['expirationSeconds'] ?? settings.defaultSeconds;
  const errors: FieldError[] = [];
  if (typeof wished !== 'number' || wished < settings.minSeconds) {
    errors.push(
      invalidValue(
        'spec.expirationSeconds',
        wished,
        `may not specify a duration less than ${settings.minSeconds} seconds`,
      ),
    );
  }
  if (errors.length > 0) throw invalid(TOKEN_REQUEST, '', errors);
  const seconds = Math.min(Number(wished), settings.maxSeconds);
  const asked = listAt(spec, 'audiences').map(String);
  const audiences = asked.length === 0 ? [ISSUER] : asked;
  const bound = boundObject(cluster, account, spec['boundObjectRef']);
  const issued = await tokens.issue(stored, {
    audiences,
    seconds,
    ...(bound === undefined ? {} : { bound }),
  });
  return {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: {
      name: account.name,
      namespace: account.namespace,
      creationTimestamp: stored.metadata.creationTimestamp,
    },
    spec: { ...spec, audiences, expirationSeconds: seconds },
    status: { token: dryRun ? '' : issued.token, expirationTimestamp: issued.expires },
  };
}

function boundObject(
  cluster: Cluster,
  account: { readonly namespace: string; readonly name: string },
  reference: unknown,
): KubeObject | undefined {
  if (!isRecord(reference)) return undefined;
  const name = stringAt(reference, 'name') ?? '';
  const uid = stringAt(reference, 'uid');
  const found = findBound(cluster, account, stringAt(reference, 'kind'), name);
  if (uid !== undefined && uid !== '' && uid !== found.metadata.uid) {
    throw conflict(
      PODS,
      name,
      `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  }
  return found;
}

function findBound(
  cluster: Cluster,
  account: { readonly namespace: string; readonly name: string },
  kind: string | undefined,
  name: string,
): KubeObject {
  if (kind === 'Node') {
    const node = readObject(cluster, NODES, name);
    if (node === undefined) throw notFound(NODES, name);
    return { ...node, kind: 'Node' };
  }
  if (kind === 'Secret') {
    const secrets = { group: '', plural: 'secrets' };
    const secret = readObject(cluster, secrets, name, account.namespace);
    if (secret === undefined) throw notFound(secrets, name);
    return { ...secret, kind: 'Secret' };
  }
  if (kind !== 'Pod') {
    throw invalid(TOKEN_REQUEST, '', [
      notSupported('spec.boundObjectRef.kind', kind ?? '', ['Pod', 'Secret', 'Node']),
    ]);
  }
  const pod = readObject(cluster, PODS, name, account.namespace);
  if (pod === undefined) throw notFound(PODS, name);
  const podAccount = stringAt(pod['spec'], 'serviceAccountName') ?? 'default';
  if (podAccount !== account.name) {
    throw invalid(TOKEN_REQUEST, '', [
      invalidValue(
        'spec.boundObjectRef',
        name,
        `cannot bind token for serviceaccount "${account.name}" to pod running with different serviceaccount name.`,
      ),
    ]);
  }
  return { ...pod, kind: 'Pod' };
}
