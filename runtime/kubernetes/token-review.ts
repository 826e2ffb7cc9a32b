// Who holds a ServiceAccount token, by the API server's word. Used by the two servers that agents call with a token:
// the CA and the control plane. A token that is not good is a normal outcome and says why.

import type { KubeClient } from './client.ts';
import type { TokenReview } from './objects.ts';
import { TOKEN_REVIEWS } from './resources.ts';

/** A workload that proved its ServiceAccount; the pod's fields only if the token is bound to a pod. */
export type Caller = {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: { readonly name: string; readonly uid: string } | undefined;
  /** The node the token says its pod is on; API servers before 1.30 do not tell. */
  readonly node: string | undefined;
};

export type TokenAnswer =
  | { readonly kind: 'caller'; readonly caller: Caller }
  | { readonly kind: 'refused'; readonly reason: string };

// Projected tokens are about 1 kB; anything far beyond is not one and is not worth a call.
const MAX_TOKEN_CHARS = 16 * 1024;

/** @throws KubeError when the API server could not be asked */
export async function reviewToken(
  client: KubeClient,
  token: string,
  audiences: readonly string[],
): Promise<TokenAnswer> {
  if (token === '') return refused('no bearer token was given');
  if (token.length > MAX_TOKEN_CHARS) return refused('the bearer token is too long to be one');
  const review = await client.create<TokenReview>(TOKEN_REVIEWS, {
    metadata: {},
    spec: { token, audiences },
  });
  return readReview(review.status ?? {}, audiences);
}

/** The token of an `authorization` header, empty when there is none. */
export function bearerToken(header: string | undefined): string {
  return /^bearer +(\S+)$/i.exec(header ?? '')?.[1] ?? '';
}

/** The API server's answer as ours. */
export function readReview(
  status: NonNullable<TokenReview['status']>,
  audiences: readonly string[],
): TokenAnswer {
  const wanted = audiences.map((audience) => `"${audience}"`).join(' or ');
  if (status.authenticated !== true) {
    return refused(status.error ?? `the token is not valid for audience ${wanted}, or expired`);
  }
  // an API server that does not know audiences answers without any: such a token is for everybody
  if (!(status.audiences ?? []).some((audience) => audiences.includes(audience))) {
    return refused(`the token is not for audience ${wanted}`);
  }
  const username = status.user?.username ?? '';
  const [, namespace, serviceAccount] =
    /^system:serviceaccount:([^:]+):([^:]+)$/.exec(username) ?? [];
  if (namespace === undefined || serviceAccount === undefined) {
    return refused(`"${username}" is not a ServiceAccount`);
  }
  const claim = (name: string): string | undefined =>
    status.user?.extra?.[`authentication.kubernetes.io/${name}`]?.[0];
  const name = claim('pod-name');
  const uid = claim('pod-uid');
  return {
    kind: 'caller',
    caller: {
      namespace,
      serviceAccount,
      pod: name === undefined || uid === undefined ? undefined : { name, uid },
      node: claim('node-name'),
    },
  };
}

function refused(reason: string): TokenAnswer {
  return { kind: 'refused', reason };
}
