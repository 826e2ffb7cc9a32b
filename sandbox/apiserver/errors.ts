// Refusals as Kubernetes Status objects: every error a client sees is made here, with the texts kubectl users know.

import { type KindDefinition, resourceName } from './kinds.ts';
import type { JsonObject } from './object.ts';

export type FieldErrorType =
  | 'FieldValueInvalid'
  | 'FieldValueRequired'
  | 'FieldValueNotSupported'
  | 'FieldValueForbidden'
  | 'FieldValueDuplicate'
  | 'FieldValueNotFound'
  | 'FieldValueTypeInvalid'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'
  | 'FieldManagerConflict';

export type FieldError = {
  readonly field: string;
  readonly reason: FieldErrorType;
  readonly message: string;
};

type Details = {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly FieldError[];
  readonly retryAfterSeconds?: number;
};

type Named = Pick<KindDefinition, 'group' | 'plural'>;

export class StatusError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: Details | undefined;
  /** A continue token a client may go on with after 410. */
  readonly continueToken: string | undefined;

  constructor(
    code: number,
    reason: string,
    message: string,
    details?: Details,
    continueToken?: string,
  ) {
    super(message);
    this.name = 'StatusError';
    this.code = code;
    this.reason = reason;
    this.details = details;
    this.continueToken = continueToken;
  }

  toStatus(): JsonObject {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: this.continueToken === undefined ? {} : { continue: this.continueToken },
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

function detailsOf(kind: Named, name: string | undefined): Details {
  return {
    ...(name === undefined || name === '' ? {} : { name }),
    ...(kind.group === '' ? {} : { group: kind.group }),
    kind: kind.plural,
  };
}

export const badRequest = (message: string): StatusError =>
  new StatusError(400, 'BadRequest', message);

export const unauthorized = (): StatusError => new StatusError(401, 'Unauthorized', 'Unauthorized');

export const notFound = (kind: Named, name: string): StatusError =>
  new StatusError(
    404,
    'NotFound',
    `${resourceName(kind)} "${name}" not found`,
    detailsOf(kind, name),
  );

export const noSuchPath = (): StatusError =>
  new StatusError(404, 'NotFound', 'the server could not find the requested resource', {});

export const methodNotAllowed = (kind: Named | undefined, verb: string): StatusError =>
  new StatusError(
    405,
    'MethodNotAllowed',
    kind === undefined
      ? 'the server does not allow this method on the requested resource'
      : `${verb} is not supported on resources of kind "${resourceName(kind)}"`,
    kind === undefined ? {} : detailsOf(kind, undefined),
  );

export const alreadyExists = (kind: Named, name: string): StatusError =>
  new StatusError(
    409,
    'AlreadyExists',
    `${resourceName(kind)} "${name}" already exists`,
    detailsOf(kind, name),
  );

export const conflict = (kind: Named, name: string, message: string): StatusError =>
  new StatusError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${resourceName(kind)} "${name}": ${message}`,
    detailsOf(kind, name),
  );

export const modifiedMeanwhile = (kind: Named, name: string): StatusError =>
  conflict(
    kind,
    name,
    'the object has been modified; please apply your changes to the latest version and try again',
  );

export const applyConflict = (message: string, causes: readonly FieldError[]): StatusError =>
  new StatusError(409, 'Conflict', message, { causes });

export const expired = (message: string, continueToken?: string): StatusError =>
  new StatusError(410, 'Expired', message, undefined, continueToken);

export const tooOldVersion = (asked: number, oldest: number): StatusError =>
  expired(`too old resource version: ${asked} (${oldest})`);

export const tooLargeVersion = (asked: number, current: number): StatusError =>
  new StatusError(504, 'Timeout', `Too large resource version: ${asked}, current: ${current}`, {
    causes: [
      {
        field: '',
        reason: 'ResourceVersionTooLarge' as FieldErrorType,
        message: 'Too large resource version',
      },
    ],
    retryAfterSeconds: 1,
  });

export const tooLarge = (limit: number): StatusError =>
  new StatusError(
    413,
    'RequestEntityTooLarge',
    `Request entity is too large: limit is ${limit} bytes`,
  );

export const unsupportedMediaType = (got: string, accepted: readonly string[]): StatusError =>
  new StatusError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format "${got}" - accepted media types include: ${accepted.join(', ')}`,
  );

export const notAcceptable = (offered: readonly string[]): StatusError =>
  new StatusError(
    406,
    'NotAcceptable',
    `only the following media types are accepted: ${offered.join(', ')}`,
  );

export const forbidden = (kind: Named, name: string, message: string): StatusError =>
  new StatusError(
    403,
    'Forbidden',
    name === ''
      ? `${resourceName(kind)} is forbidden: ${message}`
      : `${resourceName(kind)} "${name}" is forbidden: ${message}`,
    detailsOf(kind, name),
  );

export const tooManyRequests = (message: string, causes: readonly FieldError[] = []): StatusError =>
  new StatusError(429, 'TooManyRequests', message, { causes });

export const internalError = (message: string): StatusError =>
  new StatusError(500, 'InternalError', `Internal error occurred: ${message}`);

export const invalid = (
  kind: Pick<KindDefinition, 'group' | 'kind'>,
  name: string,
  errors: readonly FieldError[],
): StatusError => {
  const lines = [...new Set(errors.map(formatFieldError))];
  const text = lines.length === 1 ? (lines[0] ?? '') : `[${lines.join(', ')}]`;
  const qualified = kind.group === '' ? kind.kind : `${kind.kind}.${kind.group}`;
  return new StatusError(422, 'Invalid', `${qualified} "${name}" is invalid: ${text}`, {
    ...(name === '' ? {} : { name }),
    ...(kind.group === '' ? {} : { group: kind.group }),
    kind: kind.kind,
    causes: errors,
  });
};

function formatFieldError(error: FieldError): string {
  return `${error.field}: ${error.message}`;
}

/** Values as error texts show them: strings quoted, the rest as JSON. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (value === null || value === undefined) return 'null';
  return JSON.stringify(value);
}

export const invalidValue = (field: string, value: unknown, detail: string): FieldError => ({
  field,
  reason: 'FieldValueInvalid',
  message: `Invalid value: ${shown(value)}${detail === '' ? '' : `: ${detail}`}`,
});
export const typeInvalid = (field: string, value: unknown, detail: string): FieldError => ({
  field,
  reason: 'FieldValueTypeInvalid',
  message: `Invalid value: ${shown(value)}: ${detail}`,
});
export const required = (field: string, detail = ''): FieldError => ({
  field,
  reason: 'FieldValueRequired',
  message: detail === '' ? 'Required value' : `Required value: ${detail}`,
});
export const notSupported = (
  field: string,
  value: unknown,
  supported: readonly unknown[],
): FieldError => ({
  field,
  reason: 'FieldValueNotSupported',
  message: `Unsupported value: ${shown(value)}: supported values: ${supported.map(shown).join(', ')}`,
});
export const forbiddenField = (field: string, detail: string): FieldError => ({
  field,
  reason: 'FieldValueForbidden',
  message: `Forbidden: ${detail}`,
});
export const duplicate = (field: string, value: unknown): FieldError => ({
  field,
  reason: 'FieldValueDuplicate',
  message: `Duplicate value: ${shown(value)}`,
});
export const missingReference = (field: string, value: unknown): FieldError => ({
  field,
  reason: 'FieldValueNotFound',
  message: `Not found: ${shown(value)}`,
});
export const tooLong = (field: string, limit: number): FieldError => ({
  field,
  reason: 'FieldValueTooLong',
  message: `Too long: may not be more than ${limit} bytes`,
});
