// One HTTP request and its answer, as the verbs see them.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { stringify as stringifyYaml } from 'yaml';
import type { User } from '../cluster.ts';
import type { KindDefinition } from '../kinds.ts';
import { isRecord, type KubeObject, type ListMeta } from '../object.ts';
import { encodeKubernetesProtobuf } from '../protobuf/codec.ts';
import { toTable } from '../table/table.ts';
import { contentTypeOf, type Form } from './accept.ts';

export type Exchange = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly user: User;
  readonly now: () => number;
  /** Ends when the client goes away or the server stops. */
  readonly signal: AbortSignal;
  readonly warnings: string[];
};

/** Warnings in one answer; kubectl prints each on a line. */
const MAX_WARNINGS = 20;

export function send(exchange: Exchange, code: number, body: unknown, form?: Form): void {
  const encoding = form?.encoding ?? 'json';
  const encoded =
    encoding === 'protobuf' && isRecord(body)
      ? encodeKubernetesProtobuf(body as KubeObject)
      : undefined;
  const bytes =
    encoded ??
    Buffer.from(encoding === 'yaml' ? stringifyYaml(body) : `${JSON.stringify(body)}\n`, 'utf8');
  const type = contentTypeOf(encoding === 'protobuf' && encoded === undefined ? 'json' : encoding);
  sendBytes(exchange, code, bytes, type);
}

export function sendBytes(exchange: Exchange, code: number, bytes: Buffer, type: string): void {
  const { response } = exchange;
  if (response.headersSent || response.destroyed) return;
  response.statusCode = code;
  response.setHeader('Content-Type', type);
  response.setHeader('Content-Length', bytes.length);
  response.setHeader('Cache-Control', 'no-cache, private');
  const warnings = exchange.warnings.slice(0, MAX_WARNINGS).map(formatWarning);
  if (warnings.length > 0) response.setHeader('Warning', warnings);
  if (exchange.request.method === 'HEAD') response.end();
  else response.end(bytes);
}

function formatWarning(text: string): string {
  const printable = text.replace(/[^\x20-\x7e]/g, ' ').replace(/["\\]/g, '\\$&');
  return `299 - "${printable}"`;
}

/** Sends one object in the form the client asked for. */
export function sendObject(
  exchange: Exchange,
  code: number,
  object: KubeObject,
  kind: KindDefinition,
  form: Form,
): void {
  send(exchange, code, shape(exchange, [object], kind, form, undefined), form);
}

export function sendList(
  exchange: Exchange,
  items: readonly KubeObject[],
  kind: KindDefinition,
  listMeta: ListMeta,
  form: Form,
): void {
  send(exchange, 200, shape(exchange, items, kind, form, listMeta), form);
}

/** A single object when `listMeta` is absent, else a list. */
export function shape(
  exchange: Pick<Exchange, 'url' | 'now'>,
  objects: readonly KubeObject[],
  kind: KindDefinition,
  form: Form,
  listMeta: ListMeta | undefined,
): unknown {
  const [only] = objects;
  if (form.as === 'Table') {
    const meta = listMeta ?? resourceVersionOf(only);
    const table = toTable(kind, [...objects], meta, exchange.now(), includeObject(exchange.url));
    return { ...table, apiVersion: `meta.k8s.io/${form.version}` };
  }
  if (form.as === 'PartialObjectMetadata') {
    const apiVersion = `meta.k8s.io/${form.version}`;
    const partial = (object: KubeObject): object => ({
      kind: 'PartialObjectMetadata',
      apiVersion,
      metadata: object.metadata,
    });
    if (listMeta === undefined) return only === undefined ? {} : partial(only);
    return {
      kind: 'PartialObjectMetadataList',
      apiVersion,
      metadata: listMeta,
      items: objects.map(partial),
    };
  }
  if (listMeta === undefined) return only;
  const apiVersion = kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
  return { kind: kind.listKind, apiVersion, metadata: listMeta, items: objects };
}

function resourceVersionOf(object: KubeObject | undefined): ListMeta {
  const version = object?.metadata.resourceVersion;
  return version === undefined ? {} : { resourceVersion: version };
}

function includeObject(url: URL): 'None' | 'Metadata' | 'Object' {
  const wish = url.searchParams.get('includeObject');
  return wish === 'None' || wish === 'Object' ? wish : 'Metadata';
}
