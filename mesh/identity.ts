// Identity: a SPIFFE ID in the only shape the mesh accepts. Parsed at the door (certificates, CSRs, config),
// compared as text afterwards. Anything that is not exactly this shape is not an identity.

/** `spiffe://<trustDomain>/ns/<namespace>/sa/<serviceAccount>`, as the reference node proxy accepts it. */
export type Identity = {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
};

// SPIFFE-ID section 2.2: a path's segments are letters, digits, dots, dashes and underscores, and nothing is ever escaped.
const SHAPE =
  /^spiffe:\/\/([a-z0-9._-]{1,255})\/ns\/([A-Za-z0-9._-]{1,253})\/sa\/([A-Za-z0-9._-]{1,253})$/;

/**
 * @throws SyntaxError when `text` is not `spiffe://td/ns/namespace/sa/account` (SPIFFE-ID section 2; Istio's path layout)
 */
export function parseIdentity(text: string): Identity {
  const identity = readIdentity(text);
  if (identity === undefined) {
    throw new SyntaxError(
      `Cannot read identity "${text.slice(0, 300)}": expected spiffe://<trust domain>/ns/<namespace>/sa/<service account>`,
    );
  }
  return identity;
}

/** Like {@link parseIdentity}, for places where "not an identity" is a normal outcome. */
export function readIdentity(text: string): Identity | undefined {
  const [, trustDomain, namespace, serviceAccount] = SHAPE.exec(text) ?? [];
  if (trustDomain === undefined || namespace === undefined || serviceAccount === undefined)
    return undefined;
  return { trustDomain, namespace, serviceAccount };
}

export function formatIdentity(identity: Identity): string {
  return `spiffe://${identity.trustDomain}/ns/${identity.namespace}/sa/${identity.serviceAccount}`;
}

export function sameIdentity(a: Identity, b: Identity): boolean {
  return (
    a.trustDomain === b.trustDomain &&
    a.namespace === b.namespace &&
    a.serviceAccount === b.serviceAccount
  );
}
