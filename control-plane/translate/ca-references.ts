// The roots that a BackendTLSPolicy names: PEM in ConfigMaps of its namespace, or why there are none. Pure. Called by
// backend-tls.ts.

import { X509Certificate } from 'node:crypto';
import type { BackendTlsPolicy } from '../../runtime/kubernetes/backend-tls-objects.ts';
import type { ConfigMap } from '../../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS, type Resource } from '../../runtime/kubernetes/resources.ts';
import type { Finding } from './outcome.ts';

export type CaReference = {
  readonly resource: Resource;
  readonly namespace: string;
  readonly name: string;
};

export type Roots = {
  /** PEM of those that could be read; undefined: none could. */
  readonly roots: string | undefined;
  readonly fault: Finding | undefined;
  /** One was not looked for yet. */
  readonly pending: boolean;
  readonly references: readonly CaReference[];
};

/** Where the Gateway API looks for it. */
const KEY = 'ca.crt';

export function rootsOf(
  { metadata, spec }: BackendTlsPolicy,
  configMap: (namespace: string, name: string) => ConfigMap | 'unknown' | undefined,
): Roots {
  const { namespace = '' } = metadata;
  const found: string[] = [];
  const references: CaReference[] = [];
  let fault: Finding | undefined;
  let pending = false;
  for (const { group, kind, name } of spec.validation.caCertificateRefs ?? []) {
    if (group !== '' || kind !== 'ConfigMap') {
      fault ??= unresolved('InvalidKind', `${kind} ${name} holds no roots: name a ConfigMap`);
      continue;
    }
    references.push({ resource: CONFIG_MAPS, namespace, name });
    const map = configMap(namespace, name);
    const pem = map === undefined || map === 'unknown' ? undefined : map.data?.[KEY];
    pending ||= map === 'unknown';
    if (pem !== undefined && isCertificate(pem)) found.push(pem);
    else {
      const text = `ConfigMap ${namespace}/${name}`;
      const why =
        map === undefined || map === 'unknown' ? 'is not there' : `has no certificate in ${KEY}`;
      fault ??= unresolved('InvalidCACertificateRef', `${text} ${why}`);
    }
  }
  return { roots: found.length === 0 ? undefined : found.join('\n'), fault, pending, references };
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

function unresolved(reason: string, message: string): Finding {
  return { type: 'ResolvedRefs', status: 'False', reason, message };
}
