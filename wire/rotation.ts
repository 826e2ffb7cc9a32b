// What Kubernetes objects say of the mesh's trust: their names and keys, and the JSON in them. The CA writes the roots
// and how far a rotation is, the control plane what its agents say, `ambit ca` the wish to rotate. No secret is in any
// of them. Fields are only ever added.

import type { TrustReport } from '../mesh/trust.ts';

/** ConfigMap of the CA: the bundle that processes mount. */
export const ROOT_MAP = 'ambit-ca-root-cert';
export const ROOT_KEY = 'root-cert.pem';
/** In ROOT_MAP, from the plugged-in Secret; and any key of {@link CRL_MAP}, which is the operator's own. */
export const CRL_KEY = 'ca-crl.pem';
export const CRL_MAP = 'ambit-ca-crl';
/** ConfigMap of the operator: other trust domains' roots, each under its trust domain as key. */
export const FOREIGN_MAP = 'ambit-trust-bundles';

/** ConfigMap that a rotation is asked for, told of and driven by. */
export const ROTATION_MAP = 'ambit-ca-rotation';
export const REQUEST_KEY = 'request';
export const STATUS_KEY = 'status';
/** The rest of the key is the pod of a control-plane replica; the value {@link MeshTrust} of its agents. */
export const AGENTS_PREFIX = 'agents.';

export type RotationRequest = {
  /** Chosen by who asks; a request is acted on once. */
  readonly id: string;
  /** Do not wait for agents that are neither ready nor connected. */
  readonly force: boolean;
};

/**
 * steady: one signer, its root alone is trusted. distributing: the new root is trusted beside the old, which still signs.
 * renewing: the new root signs; the old is trusted until no agent holds a certificate under it.
 */
export type RotationPhase = 'steady' | 'distributing' | 'renewing';

export type RootNote = {
  readonly fingerprint: string;
  readonly subject: string;
  /** RFC 3339. */
  readonly notAfter: string;
};

export type RotationStatus = {
  readonly phase: RotationPhase;
  /** RFC 3339: since when this phase. */
  readonly since: string;
  /** The request that is acted on, or was last; empty when there was none. */
  readonly request: string;
  /** Why the request `refused.id` was not acted on. */
  readonly refused?: { readonly id: string; readonly message: string };
  readonly roots: readonly RootNote[];
  /** What signs: the root it is under, and the earliest end of its chain. */
  readonly signer: {
    readonly root: string;
    readonly source: 'own' | 'plugged';
    readonly notAfter: string;
  };
  /** Fingerprints of the roots about to leave. */
  readonly retiring: readonly string[];
  readonly renewWithinMs: number;
  /** The bundle every agent shall have (`bundleId`). */
  readonly bundle: string;
  /** How many agents the phase is about, and how many of them it waits for; some of them by name, with the reason. */
  readonly agents: { readonly all: number; readonly waiting: number };
  readonly waitingFor: readonly string[];
  /** The plugged-in Secret cannot be used: what signs is the last good one. */
  readonly problem?: { readonly reason: string; readonly message: string };
};

/** An agent's own word on its trust, as its control-plane replica heard it. */
export type MeshTrust = {
  readonly pod: string;
  readonly node: string;
} & Pick<TrustReport, 'bundle' | 'retiring' | 'rootsInUse'>;

const PHASES: readonly unknown[] = ['steady', 'distributing', 'renewing'] satisfies RotationPhase[];

/** Undefined when it is not one: somebody may have edited the object. */
export function readRotationStatus(text: string | undefined): RotationStatus | undefined {
  const value = objectOf(text);
  const { phase, since, request, roots, retiring, bundle, renewWithinMs } = value ?? {};
  const good =
    PHASES.includes(phase) &&
    [since, request, bundle].every((one) => typeof one === 'string') &&
    typeof renewWithinMs === 'number' &&
    Array.isArray(roots) &&
    Array.isArray(retiring);
  return good ? (value as RotationStatus) : undefined;
}

export function readRotationRequest(text: string | undefined): RotationRequest | undefined {
  const { id, force } = objectOf(text) ?? {};
  if (typeof id !== 'string' || id === '') return undefined;
  return { id, force: force === true };
}

export function readMeshTrust(text: string | undefined): MeshTrust[] {
  const list: unknown = parsed(text);
  if (!Array.isArray(list)) return [];
  return list.filter((one): one is MeshTrust => {
    const { pod, node, bundle, retiring, rootsInUse } = (one ?? {}) as Partial<MeshTrust>;
    return (
      [pod, node, bundle].every((field) => typeof field === 'string') &&
      [retiring, rootsInUse].every(Array.isArray)
    );
  });
}

function objectOf(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  const value = parsed(text);
  return typeof value === 'object' && value !== null
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}
