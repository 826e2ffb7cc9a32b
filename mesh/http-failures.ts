// The one table of how a request can end badly: what the client is told, and the response flag people grep for.

/** `status` for HTTP, `grpc` the status code for gRPC callers; `flag` as in Envoy's access logs. */
export const HTTP_FAILURES = {
  BAD_REQUEST: { flag: 'DPE', status: 400, grpc: 13 },
  NO_ROUTE: { flag: 'NR', status: 404, grpc: 12 },
  NO_BACKEND: { flag: 'NC', status: 500, grpc: 14 },
  NO_HEALTHY_ENDPOINT: { flag: 'UH', status: 503, grpc: 14 },
  UPSTREAM_CONNECT: { flag: 'UF', status: 503, grpc: 14 },
  UPSTREAM_RESET: { flag: 'UC', status: 503, grpc: 14 },
  UPSTREAM_PROTOCOL: { flag: 'UPE', status: 502, grpc: 14 },
  REQUEST_TIMEOUT: { flag: 'UT', status: 504, grpc: 4 },
  BROKEN_FILTER: { flag: 'NC', status: 500, grpc: 13 },
  CLIENT_GONE: { flag: 'DC', status: 0, grpc: 1 },
  INTERNAL: { flag: 'LR', status: 500, grpc: 13 },
} as const satisfies Record<
  string,
  { readonly flag: string; readonly status: number; readonly grpc: number }
>;

export type HttpFailureCode = keyof typeof HTTP_FAILURES;

export class HttpFailure extends Error {
  override readonly name = 'HttpFailure';
  readonly code: HttpFailureCode;

  constructor(code: HttpFailureCode, detail: string, options?: { readonly cause?: unknown }) {
    super(detail, options);
    this.code = code;
  }
}
