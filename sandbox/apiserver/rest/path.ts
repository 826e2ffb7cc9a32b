// What a URL asks for, in the terms of the Kubernetes API.

import { badRequest } from '../errors.ts';

export type ResourcePath = {
  readonly group: string;
  readonly version: string;
  readonly namespace: string | undefined;
  readonly resource: string;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
  /** What follows a subresource: `/healthz` in `.../proxy/healthz`; keeps its leading slash. */
  readonly rest: string;
};

export type ApiPath =
  | ({ readonly is: 'resource' } & ResourcePath)
  | { readonly is: 'group-version'; readonly group: string; readonly version: string }
  | { readonly is: 'group'; readonly group: string }
  | { readonly is: 'other'; readonly path: string };

/** Bytes a request line may have; long selectors need a few thousand. */
export const MAX_URL_LENGTH = 16 * 1024;

export function parseApiPath(path: string): ApiPath {
  const parts = path.split('/').filter((part) => part !== '');
  if (parts[0] === 'api' && parts[1] !== undefined) {
    return below('', parts[1], parts.slice(2), path);
  }
  if (parts[0] === 'apis' && parts[1] !== undefined) {
    const group = decode(parts[1]);
    if (parts[2] === undefined) return { is: 'group', group };
    return below(group, parts[2], parts.slice(3), path);
  }
  return { is: 'other', path };
}

function below(group: string, rawVersion: string, parts: readonly string[], path: string): ApiPath {
  const version = decode(rawVersion);
  const [first, second, third] = parts;
  if (first === undefined) return { is: 'group-version', group, version };
  // namespaces/NAME/finalize is the namespace object's own, namespaces/NAME/pods is inside it
  const namespaceOwn =
    first === 'namespaces' &&
    group === '' &&
    (third === undefined || third === 'status' || third === 'finalize');
  const inside = first === 'namespaces' && second !== undefined && !namespaceOwn;
  const local = inside ? parts.slice(2) : parts;
  const [resource, name, subresource] = local;
  if (resource === undefined) return { is: 'other', path };
  const depth = 3;
  const after = local.slice(depth);
  const rest = after.length === 0 ? '' : `/${after.join('/')}${path.endsWith('/') ? '/' : ''}`;
  return {
    is: 'resource',
    group,
    version,
    namespace: inside ? decode(second ?? '') : undefined,
    resource: decode(resource),
    name: name === undefined ? undefined : decode(name),
    subresource: subresource === undefined ? undefined : decode(subresource),
    rest: rest === '' && subresource !== undefined && path.endsWith('/') ? '/' : rest,
  };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badRequest(`the path has a malformed escape in ${JSON.stringify(part)}`);
  }
}
