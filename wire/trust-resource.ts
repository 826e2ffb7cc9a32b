// Trust bundles as discovery resources, named by their trust domain, and the agents' reports on them as frames carry
// them. Called by the two ends of discovery. Certificates are text here: who believes them reads them.

import type { TrustBundle, TrustReport } from '../mesh/trust.ts';
import { TRUST_PROTO } from './proto/trust.ts';
import { DecodeError, loadProto, messageType } from './protobuf.ts';

export const TYPE_TRUST = 'type.googleapis.com/ambit.trust.Bundle';

type BundleMessage = {
  trustDomain: string;
  roots: string[];
  aliases: string[];
  retiring: string[];
  renewWithinMs: number;
  crls: string[];
};
type ReportMessage = {
  bundle: string;
  retiring: string[];
  rootsInUse: string[];
  earliestEnd: number;
  failing: number;
  error: string;
};

const root = loadProto(TRUST_PROTO);
const BUNDLE = messageType<BundleMessage>(root, 'ambit.trust.Bundle');
const REPORT = messageType<ReportMessage>(root, 'ambit.trust.Report');

export function encodeTrustBundle(bundle: TrustBundle): Uint8Array {
  return BUNDLE.encode({
    trustDomain: bundle.trustDomain,
    roots: [...bundle.roots],
    aliases: [...bundle.aliases],
    retiring: [...bundle.retiring],
    renewWithinMs: bundle.renewWithinMs,
    crls: [...bundle.crls],
  });
}

/** @throws DecodeError; a bundle without a trust domain or a root is none: it would end all trust */
export function decodeTrustBundle(body: Uint8Array): TrustBundle {
  const { trustDomain, roots, aliases, retiring, renewWithinMs, crls } = BUNDLE.decode(body);
  if (trustDomain === '' || roots.length === 0) {
    throw new DecodeError(
      `Cannot read the trust bundle of "${trustDomain}": trust domain or roots are missing`,
    );
  }
  return { trustDomain, roots, aliases, retiring, renewWithinMs, crls };
}

export function encodeTrustReport(report: TrustReport): Uint8Array {
  const { retiring, rootsInUse } = report;
  return REPORT.encode({ ...report, retiring: [...retiring], rootsInUse: [...rootsInUse] });
}

/** @throws DecodeError */
export function decodeTrustReport(body: Uint8Array): TrustReport {
  const { bundle, retiring, rootsInUse, earliestEnd, failing, error } = REPORT.decode(body);
  return { bundle, retiring, rootsInUse, earliestEnd, failing, error };
}
