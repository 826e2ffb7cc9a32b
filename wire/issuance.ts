// Certificates over gRPC: istio.v1.auth.IstioCertificateService/CreateCertificate. Called by the CA and by its clients;
// gRPC itself is theirs, here are only the messages and the method's shape.

import { Buffer } from 'node:buffer';
import { ISSUANCE_PROTO } from './proto/issuance.ts';
import { loadProto, messageType } from './protobuf.ts';

export type CertificateRequest = {
  /** PEM. */
  readonly csr: string;
  /** Seconds; 0 asks for the CA's default. */
  readonly validitySeconds: number;
  /** The SPIFFE URI wanted, when it is not the caller's own (metadata key ImpersonatedIdentity). */
  readonly impersonatedIdentity: string | undefined;
};

export type CertificateResponse = {
  /** PEM; leaf first, the root (or roots) last. */
  readonly chain: readonly string[];
};

type ValueMessage = { stringValue?: string; kind?: string };
type RequestMessage = {
  csr: string;
  validityDuration: number | { toNumber(): number };
  metadata: { fields: Record<string, ValueMessage> } | null;
};

const root = loadProto(ISSUANCE_PROTO);
const REQUEST = messageType<RequestMessage>(root, 'istio.v1.auth.IstioCertificateRequest');
const RESPONSE = messageType<{ certChain: string[] }>(
  root,
  'istio.v1.auth.IstioCertificateResponse',
);
const IMPERSONATED_IDENTITY = 'ImpersonatedIdentity';

/** The method as gRPC libraries want it described. */
export const CREATE_CERTIFICATE = {
  path: '/istio.v1.auth.IstioCertificateService/CreateCertificate',
  requestStream: false,
  responseStream: false,
  requestSerialize: (request: CertificateRequest): Buffer => Buffer.from(encodeRequest(request)),
  requestDeserialize: (bytes: Buffer): CertificateRequest => decodeRequest(bytes),
  responseSerialize: (response: CertificateResponse): Buffer =>
    Buffer.from(RESPONSE.encode({ certChain: [...response.chain] })),
  responseDeserialize: (bytes: Buffer): CertificateResponse => ({
    chain: RESPONSE.decode(bytes).certChain,
  }),
} as const;

function encodeRequest(request: CertificateRequest): Uint8Array {
  const { impersonatedIdentity } = request;
  return REQUEST.encode({
    csr: request.csr,
    validityDuration: request.validitySeconds,
    metadata:
      impersonatedIdentity === undefined
        ? null
        : { fields: { [IMPERSONATED_IDENTITY]: { stringValue: impersonatedIdentity } } },
  });
}

function decodeRequest(bytes: Uint8Array): CertificateRequest {
  const { csr, validityDuration, metadata } = REQUEST.decode(bytes);
  const fields = metadata?.fields ?? {};
  const wanted = Object.hasOwn(fields, IMPERSONATED_IDENTITY)
    ? fields[IMPERSONATED_IDENTITY]
    : undefined;
  return {
    csr,
    validitySeconds:
      typeof validityDuration === 'number' ? validityDuration : validityDuration.toNumber(),
    impersonatedIdentity: wanted?.kind === 'stringValue' ? wanted.stringValue : undefined,
  };
}
