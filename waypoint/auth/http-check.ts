// Asks an authorization service in its HTTP form: the request's own method and path, with those of its headers that the
// provider names; 200 is yes. Called by external-authorization.ts. One connection a question: in the mesh it is a stream of
// a tunnel that is open anyway, and no answer can be mistaken for another's.

import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ExternalAuthorizer } from '../../mesh/http-policy.ts';
import type { HeaderList, HttpRequest } from '../../mesh/http-request.ts';
import type { CheckAnswer, HeaderChange } from '../../wire/external-authorization.ts';
import { isChangeable, namesMatch } from './header-changes.ts';

/** A page that says why, or a redirect. */
const MAX_ANSWER_BYTES = 256 * 1024;
/** As Envoy has it: names of headers, with commas, that the request goes on without. */
const HEADERS_TO_REMOVE = 'x-envoy-auth-headers-to-remove';
/** What is asked with, whatever the provider names. */
const ALWAYS = ['authorization'] as const;

/** @throws Error of the connection or the protocol, `signal.reason` */
export async function checkByHttp(
  provider: ExternalAuthorizer,
  request: HttpRequest,
  body: Uint8Array | undefined,
  bytes: Duplex,
  signal: AbortSignal,
): Promise<CheckAnswer> {
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = httpRequest(
        {
          method: request.method,
          path: provider.pathPrefix + targetOf(request),
          headers: questionHeaders(provider, request, body?.length ?? 0).flat(),
          setHost: false,
          signal,
          createConnection: () => bytes,
        },
        resolve,
      );
      outgoing.on('error', reject).end(body);
    });
    return answerOf(provider, response, await readBody(response));
  } finally {
    bytes.destroy();
  }
}

function targetOf({ path, query }: HttpRequest): string {
  // the form of OPTIONS * has nothing to stand before
  const own = path === '*' ? '/*' : path;
  return query === undefined ? own : `${own}?${query}`;
}

export function questionHeaders(
  { includeRequestHeaders, includeAdditionalHeaders }: ExternalAuthorizer,
  { authority, headers }: HttpRequest,
  bodyBytes: number,
): HeaderList {
  const additional = new Set(includeAdditionalHeaders.map(([name]) => name.toLowerCase()));
  const told = headers.filter(
    ([name]) =>
      isChangeable(name) &&
      !additional.has(name) &&
      namesMatch([...ALWAYS, ...includeRequestHeaders], name),
  );
  return [
    ['host', authority],
    ['connection', 'close'],
    ...told,
    ...includeAdditionalHeaders,
    ['content-length', String(bodyBytes)],
  ];
}

/** What an answer says of itself would be untrue of the request: nobody means these by `*`. */
const OF_ANSWERS = /^(content-.*|date|server|etag|last-modified|vary|cache-control|set-cookie)$/;

function answerOf(
  provider: ExternalAuthorizer,
  response: IncomingMessage,
  body: string,
): CheckAnswer {
  const status = response.statusCode ?? 0;
  const headers: [string, string][] = [];
  const { rawHeaders } = response;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    headers.push([(rawHeaders[i] ?? '').toLowerCase(), rawHeaders[i + 1] ?? '']);
  }
  const chosen = (patterns: readonly string[]): HeaderChange[] => changesOf(headers, patterns);
  if (status === 200) {
    return {
      kind: 'ok',
      requestHeaders: chosen(provider.headersToUpstreamOnAllow).filter(
        ({ name }) =>
          provider.headersToUpstreamOnAllow.some((one) => one !== '*') || !OF_ANSWERS.test(name),
      ),
      removeHeaders: headers
        .filter(([name]) => name === HEADERS_TO_REMOVE)
        .flatMap(([, value]) => value.split(',').map((one) => one.trim())),
      responseHeaders: chosen(provider.headersToDownstreamOnAllow),
      setQuery: [],
      removeQuery: [],
    };
  }
  const { headersToDownstreamOnDeny: named } = provider;
  return {
    kind: status >= 500 ? 'error' : 'denied',
    status,
    headers: chosen(named.length === 0 ? ['*'] : named),
    body,
    message: `HTTP status ${status}`,
  };
}

/** The first line of a name takes the place of what was there, the next stand beside it. */
function changesOf(headers: HeaderList, patterns: readonly string[]): HeaderChange[] {
  const seen = new Set<string>();
  return headers.flatMap(([name, value]) => {
    if (name === HEADERS_TO_REMOVE || !isChangeable(name) || !namesMatch(patterns, name)) return [];
    const how = seen.has(name) ? 'add' : 'set';
    seen.add(name);
    return [{ name, value, how }];
  });
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_ANSWER_BYTES)
      throw new Error(`an answer of more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk as Buffer);
  }
  if (!response.complete) throw new Error('the answer broke off');
  return Buffer.concat(chunks).toString();
}
