// Whom the mesh believes: one bundle of roots for each trust domain, distributed by the control plane before anything
// else, and what each agent answers about it. The CA drives a root's rotation by the two.

/** What a trust domain's certificates must lead to, and which of them do not count any more. */
export type TrustBundle = {
  readonly trustDomain: string;
  /** PEM, one certificate each. */
  readonly roots: readonly string[];
  /** Other names of the same trust domain. */
  readonly aliases: readonly string[];
  /** Fingerprints of the roots that are about to leave: certificates under them are renewed now. */
  readonly retiring: readonly string[];
  /** Over how long their holders shall spread these renewals, in ms. */
  readonly renewWithinMs: number;
  /** Certificate revocation lists, PEM. */
  readonly crls: readonly string[];
};

/** What an agent says of its trust domain: by it the CA knows when the next step of a rotation is safe. */
export type TrustReport = {
  /** The roots that new handshakes of this agent believe (`bundleId` of runtime/trust.ts). */
  readonly bundle: string;
  /** Fingerprints of the leaving roots it knows of: what it got before it knew may be under one of them. */
  readonly retiring: readonly string[];
  /** Fingerprints of the roots its own certificates lead to. */
  readonly rootsInUse: readonly string[];
  /** Unix ms: the end of the certificate that ends first; 0 when it holds none. */
  readonly earliestEnd: number;
  /** Identities without a certificate, or with one that should have been renewed by now. */
  readonly failing: number;
  /** Why, by the last failure; empty when none fails. */
  readonly error: string;
};
