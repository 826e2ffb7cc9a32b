// The certificates that a Gateway's listener names: read from Secrets, its own namespace's or those that a ReferenceGrant
// opens to it, or why they cannot be used. Pure. Called by listeners.ts. Invariant: no message says anything of a key.

import { createSecureContext } from 'node:tls';
import type { ListenerCertificate } from '../../mesh/gateway-listeners.ts';
import { SecretText } from '../../mesh/secret-text.ts';
import type {
  Gateway,
  Listener,
  SecretReference,
} from '../../runtime/kubernetes/gateway-objects.ts';
import type { Secret } from '../../runtime/kubernetes/objects.ts';
import { GATEWAYS } from '../../runtime/kubernetes/resources.ts';
import type { Grants } from '../translate/routes/grants.ts';

export type CertificateFacts = {
  /** `unknown` until it was looked for, undefined when it is not there. */
  readonly secret: (namespace: string, name: string) => Secret | 'unknown' | undefined;
  readonly grants: Grants;
};

/** What is wrong, for a condition. */
export type Fault = { readonly reason: string; readonly message: string };

export type Certificates =
  /** None where TLS does not end at the listener. */
  | { readonly found: readonly ListenerCertificate[] }
  /** `pending`: it was not looked for yet, so its absence is not to be acted upon. */
  | { readonly fault: Fault; readonly pending: boolean };

export function certificatesOf(
  gateway: Gateway,
  { protocol, tls }: Listener,
  facts: CertificateFacts,
): Certificates {
  if (protocol !== 'HTTPS' && protocol !== 'TLS') return { found: [] };
  if ((tls?.mode ?? 'Terminate') === 'Passthrough') {
    return protocol === 'TLS'
      ? { found: [] }
      : { fault: { reason: 'Invalid', message: 'HTTPS cannot be passed through' }, pending: false };
  }
  const refs = tls?.certificateRefs ?? [];
  if (refs.length === 0) return invalid('It terminates TLS and has no certificateRefs');
  const found: ListenerCertificate[] = [];
  for (const ref of refs) {
    const one = certificateOf(gateway.metadata.namespace ?? '', ref, facts);
    if ('fault' in one) return one;
    found.push(...one.found);
  }
  return { found };
}

function certificateOf(
  place: string,
  { group = '', kind = 'Secret', name, namespace = place }: SecretReference,
  facts: CertificateFacts,
): Certificates {
  if (group !== '' || kind !== 'Secret') {
    return invalid(`certificateRefs has a ${kind} of group "${group}": only a Secret can be read`);
  }
  const secret = `Secret ${namespace}/${name}`;
  if (!permitsSecret(facts.grants, place, { name, namespace })) {
    const message = `No ReferenceGrant in ${namespace} lets Gateways of ${place} use ${secret}`;
    return { fault: { reason: 'RefNotPermitted', message }, pending: false };
  }
  const present = facts.secret(namespace, name);
  if (present === 'unknown') return invalid(`${secret} was not looked for yet`, true);
  if (present === undefined) return invalid(`${secret} is not there`);
  const text = (key: string): string =>
    Buffer.from(present.data?.[key] ?? '', 'base64').toString('utf8');
  const chainPem = text('tls.crt');
  const key = text('tls.key');
  if (chainPem === '' || key === '') return invalid(`${secret} has no tls.crt or no tls.key`);
  try {
    // whatever a proxy would refuse is refused here, where somebody reads why
    createSecureContext({ cert: chainPem, key });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return invalid(`${secret} is no certificate in tls.crt with its key in tls.key: ${why}`);
  }
  return { found: [{ chainPem, keyPem: new SecretText(key) }] };
}

/** `place`: of the Gateway. */
export function permitsSecret(
  grants: Grants,
  place: string,
  { name, namespace = place }: SecretReference,
): boolean {
  const from = { group: GATEWAYS.group, kind: GATEWAYS.kind, namespace: place };
  return grants.permits(from, { group: '', kind: 'Secret', namespace, name });
}

function invalid(message: string, pending = false): Certificates {
  return { fault: { reason: 'InvalidCertificateRef', message }, pending };
}
