// The CA's answer to a request of ours, checked: what is not exactly the certificate that was asked for is refused, and
// what we held before stays. Called by held-certificate.ts.

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { formatIdentity, type Identity } from '../../mesh/identity.ts';
import { fingerprintOf, rootOf, splitPem } from '../../runtime/trust.ts';
import { uriNames } from '../der.ts';

export type Issued = {
  readonly identity: Identity;
  /** Leaf first, then intermediates; PEM. */
  readonly chain: readonly string[];
  readonly keyPem: string;
  /** The roots the CA answered with. */
  readonly roots: readonly string[];
  /** The one of them that the chain leads to. */
  readonly root: { readonly pem: string; readonly fingerprint: string };
  /** Unix ms. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly receivedAt: number;
};

/** @throws Error that says what of the answer cannot be used */
export function readIssued(
  asked: { readonly identity: Identity; readonly keyPem: string; readonly now: number },
  answer: readonly string[],
): Issued {
  const wanted = formatIdentity(asked.identity);
  const chain = answer.slice(0, -1).flatMap(splitPem);
  const roots = splitPem(answer.at(-1) ?? '');
  const [leafPem] = chain;
  if (leafPem === undefined || roots.length === 0) {
    throw new Error(`The CA answered with a chain of ${answer.length}: expected leaf and root`);
  }
  const leaf = new X509Certificate(leafPem);
  const names = uriNames(leaf.raw);
  if (names.length !== 1 || names[0] !== wanted) {
    throw new Error(
      `The CA answered with a certificate for ${names.join(', ')} instead of ${wanted}`,
    );
  }
  if (!leaf.checkPrivateKey(createPrivateKey(asked.keyPem))) {
    throw new Error(`The CA answered with a certificate of another key for ${wanted}`);
  }
  const [notBefore, notAfter] = [leaf.validFromDate.getTime(), leaf.validToDate.getTime()];
  if (notAfter <= asked.now) {
    throw new Error(
      `The CA answered with a certificate for ${wanted} that ended ${leaf.validTo}: it is ${new Date(asked.now).toISOString()} here. Compare this node's clock with the CA's`,
    );
  }
  const root = brokenAt(chain) ? undefined : rootOf(chain, roots);
  if (root === undefined) {
    throw new Error(`The CA answered with a chain for ${wanted} that leads to none of its roots`);
  }
  const { identity, keyPem, now } = asked;
  return {
    identity,
    chain,
    keyPem,
    roots,
    root: { pem: root, fingerprint: fingerprintOf(root) },
    notBefore,
    notAfter,
    receivedAt: now,
  };
}

/** Whether some certificate was not issued by the one after it. */
function brokenAt(chain: readonly string[]): boolean {
  const path = chain.map((pem) => new X509Certificate(pem));
  return path.some((one, at) => {
    const issuer = path[at + 1];
    return issuer !== undefined && !(one.checkIssued(issuer) && one.verify(issuer.publicKey));
  });
}
