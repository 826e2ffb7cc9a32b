// Which form of an answer the client takes: plain object, Table or metadata only; JSON, YAML or protobuf.

import { notAcceptable } from '../errors.ts';

export type Encoding = 'json' | 'yaml' | 'protobuf';

export type Form = {
  readonly as: 'object' | 'Table' | 'PartialObjectMetadata' | 'APIGroupDiscoveryList';
  readonly version: string;
  readonly encoding: Encoding;
};

export const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const OFFERED = ['application/json', 'application/yaml', PROTOBUF];
const ENCODINGS: Readonly<Record<string, Encoding>> = {
  'application/json': 'json',
  'application/yaml': 'yaml',
  [PROTOBUF]: 'protobuf',
  '*/*': 'json',
  'application/*': 'json',
};
/** Media types read from one header. */
const MAX_TYPES = 32;

/** All forms the client would take, the best one first. */
export function acceptedForms(header: string | undefined): Form[] {
  const types = (header ?? '').split(',').slice(0, MAX_TYPES).map(parseType);
  const forms: Form[] = [];
  for (const { type, parameters } of types.sort((a, b) => b.quality - a.quality)) {
    const encoding = ENCODINGS[type];
    if (encoding === undefined) continue;
    const as = parameters['as'];
    const version = parameters['v'] ?? 'v1';
    if (as === undefined) forms.push({ as: 'object', version, encoding });
    else if (as === 'Table') forms.push({ as, version, encoding });
    else if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') {
      forms.push({ as: 'PartialObjectMetadata', version, encoding });
    } else if (as === 'APIGroupDiscoveryList') forms.push({ as, version, encoding });
  }
  if (forms.length === 0) {
    if ((header ?? '').trim() === '') return [{ as: 'object', version: 'v1', encoding: 'json' }];
    throw notAcceptable(OFFERED);
  }
  return forms;
}

/** The first form that `can` be made; JSON as a last resort is not assumed. */
export function chooseForm(header: string | undefined, can: (form: Form) => boolean): Form {
  const form = acceptedForms(header).find(can);
  if (form === undefined) throw notAcceptable(OFFERED);
  return form;
}

export function contentTypeOf(encoding: Encoding): string {
  return encoding === 'json'
    ? 'application/json'
    : encoding === 'yaml'
      ? 'application/yaml'
      : PROTOBUF;
}

function parseType(text: string): {
  type: string;
  parameters: Record<string, string>;
  quality: number;
} {
  const [type = '', ...rest] = text.split(';').map((part) => part.trim());
  const parameters: Record<string, string> = {};
  for (const part of rest) {
    const at = part.indexOf('=');
    if (at > 0) parameters[part.slice(0, at)] = part.slice(at + 1);
  }
  const quality = Number(parameters['q'] ?? 1);
  return { type: type.toLowerCase(), parameters, quality: Number.isNaN(quality) ? 0 : quality };
}
