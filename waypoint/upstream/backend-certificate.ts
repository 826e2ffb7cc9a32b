// Is the certificate that a backend shows one its policy takes? Asked by secure.ts once the chain was found good. Pure.

import type { PeerCertificate } from 'node:tls';
import type { BackendTlsTerms, SubjectName } from '../../mesh/backend-tls.ts';

type Check = (hostname: string, certificate: PeerCertificate) => Error | undefined;

/** undefined: it is. `isFor` is Node's own rule for host names. */
export function certificateFault(
  certificate: PeerCertificate,
  { serverName, names }: Extract<BackendTlsTerms, { kind: 'verify' }>,
  isFor: Check,
): Error | undefined {
  if (names.length === 0) return isFor(serverName, certificate);
  const present = subjectNames(certificate.subjectaltname ?? '');
  const met = names.some((wanted) => holds(wanted, present, certificate, isFor));
  if (met) return undefined;
  const wanted = names.map(({ kind, value }) => `${kind}:${value}`).join(', ');
  return new Error(`its certificate is for none of ${wanted}`);
}

function holds(
  { kind, value }: SubjectName,
  present: readonly SubjectName[],
  certificate: PeerCertificate,
  isFor: Check,
): boolean {
  const same = (text: string): string => (kind === 'dns' ? text.toLowerCase() : text);
  if (present.some((one) => one.kind === kind && same(one.value) === same(value))) return true;
  return kind === 'dns' && !value.startsWith('*.') && isFor(value, certificate) === undefined;
}

/** What Node writes as `DNS:a, URI:b`; a value with a comma or quote in it comes as a JSON text, and counts for nothing. */
function subjectNames(text: string): SubjectName[] {
  const found: SubjectName[] = [];
  for (const [, type, value = ''] of text.matchAll(
    /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g,
  )) {
    if (value.startsWith('"')) continue;
    if (type === 'DNS') found.push({ kind: 'dns', value });
    else if (type === 'URI') found.push({ kind: 'uri', value });
  }
  return found;
}
