// The ConfigMaps, Secrets and tokens of one pod, read from the API server when they are needed. Made per pod by pod.ts;
// a token is asked for again only at 80 % of its life, so callers may ask as often as they like.

import type { Clock } from '../../../runtime/clock.ts';
import type { KubeClient } from '../../../runtime/kubernetes/client.ts';
import type { ConfigMap, KubeObject, Secret } from '../../../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS } from '../../../runtime/kubernetes/resources.ts';
import type { ConfigSource } from '../container/environment.ts';
import type { PodRef } from '../pod/pod-spec.ts';
import { parseTime } from '../time.ts';

export function configSource(client: KubeClient, namespace: string): ConfigSource {
  return {
    async configMap(name) {
      type WithBinary = ConfigMap & { readonly binaryData?: Readonly<Record<string, string>> };
      const found = await client.get<WithBinary>(CONFIG_MAPS, name, namespace);
      if (found === undefined) return undefined;
      return { ...buffers(found.data, 'utf8'), ...buffers(found.binaryData, 'base64') };
    },
    async secret(name) {
      const found = await client.get<Secret>(SECRETS, name, namespace);
      return found === undefined ? undefined : buffers(found.data, 'base64');
    },
  };
}

function buffers(
  values: Readonly<Record<string, string>> | undefined,
  encoding: 'utf8' | 'base64',
): Record<string, Buffer> {
  const entries = Object.entries(values ?? {});
  return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value, encoding)]));
}

export type TokenRequest = {
  /** undefined: the API server's own audience. */
  readonly audience: string | undefined;
  readonly expirationSeconds: number;
};

export interface TokenSource {
  token(request: TokenRequest): Promise<string>;
}

/** The share of a token's life after which it is replaced, as the kubelet of Kubernetes does. */
const RENEW_AT = 0.8;

type TokenAnswer = KubeObject & {
  readonly spec: {
    readonly audiences?: readonly string[];
    readonly expirationSeconds: number;
    readonly boundObjectRef: PodRef & { readonly apiVersion: 'v1'; readonly kind: 'Pod' };
  };
  readonly status?: { readonly token: string; readonly expirationTimestamp: string };
};

/** Tokens of `serviceAccount`, bound to `pod`: they end with it. */
export function tokenSource(
  parts: { readonly client: KubeClient; readonly clock: Clock },
  pod: PodRef,
  serviceAccount: string,
): TokenSource {
  const held = new Map<string, { readonly token: string; readonly renewAt: number }>();
  return {
    async token(request) {
      const key = `${request.audience ?? ''} ${request.expirationSeconds}`;
      const known = held.get(key);
      const asked = parts.clock.now();
      if (known !== undefined && asked < known.renewAt) return known.token;
      const answer = await parts.client.subcreate<TokenAnswer>(
        SERVICE_ACCOUNTS,
        serviceAccount,
        pod.namespace,
        'token',
        requestBody(request, pod),
      );
      const status = answer.status;
      if (status === undefined) {
        throw new TypeError(
          `Cannot use the token of ServiceAccount "${serviceAccount}": no status`,
        );
      }
      const end = parseTime(status.expirationTimestamp) ?? asked + request.expirationSeconds * 1000;
      held.set(key, { token: status.token, renewAt: asked + (end - asked) * RENEW_AT });
      return status.token;
    },
  };
}

function requestBody({ audience, expirationSeconds }: TokenRequest, pod: PodRef): unknown {
  return {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    metadata: {},
    spec: {
      ...(audience === undefined ? {} : { audiences: [audience] }),
      expirationSeconds,
      boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid },
    },
  };
}
