import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FAILURES, type FailureCode, MeshError } from '../../mesh/failures.ts';
import {
  HTTP_FAILURES,
  HttpFailure,
  type HttpFailureCode,
  httpFailureOf,
  RESPONSE_FLAGS,
} from '../../mesh/http-failures.ts';
import { answerFor, encodeGrpcMessage } from './failure-answer.ts';

const CODES = Object.keys(HTTP_FAILURES) as HttpFailureCode[];
const SECRET = 'Cannot reach 10.0.0.7:8080 of shop/cart: policy shop/deny-all';

describe('the answer to a failure', () => {
  test('never tells the message of the failure', () => {
    for (const code of CODES) {
      for (const protocol of ['http/1.1', 'h2', 'grpc'] as const) {
        const answer = answerFor(new HttpFailure(code, SECRET), protocol);
        assert.doesNotMatch(JSON.stringify(answer ?? ''), /10\.0\.0\.7|shop/, code);
      }
    }
  });

  test('is none when the client has gone', () => {
    assert.equal(answerFor(new HttpFailure('DOWNSTREAM_RESET', ''), 'h2'), undefined);
  });

  test('over HTTP is a status and a few words', () => {
    assert.deepEqual(answerFor(new HttpFailure('POLICY_DENIED', SECRET), 'http/1.1'), {
      status: 403,
      headers: [['content-type', 'text/plain']],
      body: 'RBAC: access denied',
      grpcStatus: undefined,
    });
  });

  test('to gRPC is trailers only', () => {
    assert.deepEqual(answerFor(new HttpFailure('NO_ROUTE', ''), 'grpc'), {
      status: 200,
      headers: [
        ['content-type', 'application/grpc'],
        ['grpc-status', '12'],
        ['grpc-message', 'no route matches'],
      ],
      body: '',
      grpcStatus: 12,
    });
  });

  test('marks overload and rate limits, and carries what the failure brings', () => {
    const limited = new HttpFailure('RATE_LIMITED', '', { headers: [['retry-after', '3']] });
    assert.deepEqual(answerFor(limited, 'h2')?.headers, [
      ['content-type', 'text/plain'],
      ['x-envoy-ratelimited', 'true'],
      ['retry-after', '3'],
    ]);
    const full = answerFor(new HttpFailure('UPSTREAM_OVERFLOW', ''), 'grpc');
    assert.deepEqual(full?.headers.at(-1), ['x-envoy-overloaded', 'true']);
  });

  test('has the status, body and type that a policy or an authorization service gave', () => {
    const said = new HttpFailure('EXTERNAL_AUTH_DENIED', '', {
      status: 401,
      body: '{"sign":"in"}',
      headers: [['content-type', 'application/json']],
    });
    assert.deepEqual(answerFor(said, 'http/1.1'), {
      status: 401,
      headers: [['content-type', 'application/json']],
      body: '{"sign":"in"}',
      grpcStatus: undefined,
    });
    const grpc = answerFor(said, 'grpc');
    assert.equal(grpc?.grpcStatus, 16, 'what gRPC says for that status');
    assert.deepEqual(grpc?.headers.filter(([name]) => name === 'content-type').length, 1);
    const aborted = new HttpFailure('FAULT_ABORT', '', { grpcStatus: 8 });
    assert.equal(answerFor(aborted, 'grpc')?.grpcStatus, 8);
  });
});

describe('grpc-message', () => {
  test('keeps printable ASCII and encodes the rest, percent signs with it', () => {
    assert.equal(encodeGrpcMessage('50 % of\tü~'), '50 %25 of%09%C3%BC~');
  });

  test('is printable ASCII that decodes to the text, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const encoded = encodeGrpcMessage(text);
        assert.match(encoded, /^[\x20-\x7e]*$/);
        assert.equal(decodeURIComponent(encoded), text.toWellFormed());
      }),
    );
  });
});

describe('a failure of a connection', () => {
  test('is one of the request, with its cause kept', () => {
    for (const code of Object.keys(FAILURES) as FailureCode[]) {
      const cause = new MeshError(code, SECRET);
      const failure = httpFailureOf(cause);
      assert.equal(failure.cause, cause);
      assert.equal(failure.message, SECRET);
    }
    assert.equal(httpFailureOf(new TypeError('x')).code, 'INTERNAL');
    const own = new HttpFailure('RETRY_LIMIT', '');
    assert.equal(httpFailureOf(own), own);
  });

  test('is not tried again when the connection had been open: the request may have been read', () => {
    for (const code of [
      'UPSTREAM_RESET',
      'TUNNEL_LOST',
      'TUNNEL_PROTOCOL',
      'CERT_REVOKED',
    ] as const) {
      assert.equal(httpFailureOf(new MeshError(code, '')).retryable, false, code);
    }
    assert.equal(httpFailureOf(new MeshError('UPSTREAM_CONNECT', '')).retryable, true);
  });

  test('has a flag that a filter may name', () => {
    for (const code of CODES) assert.ok(RESPONSE_FLAGS.has(new HttpFailure(code, '').flag));
  });
});
