// The OpenAPI v2 document in protobuf (the messages of `openapi.v2`), which older kubectls insist on for `apply`.
// Only what a document of ours contains; values of unknown shape travel as YAML, and JSON is YAML.

import { Buffer } from 'node:buffer';
import protobuf from 'protobufjs';
import { isRecord, type JsonObject } from '../object.ts';

/** What clients accept: the name with "@" up to kubectl 1.27, with "." since. */
const PROTOBUF_ACCEPTED = /application\/com\.github\.proto-openapi\.spec\.v2[@.]v1\.0\+protobuf/;
/** What is answered in either case: Go refuses to parse a media type with "@". */
const PROTOBUF = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

const MESSAGES = `
syntax = "proto3";
package openapi.v2;
message Document { string swagger = 1; Info info = 2; Paths paths = 8; Definitions definitions = 9; }
message Info { string title = 1; string version = 2; }
message Any { string yaml = 2; }
message NamedAny { string name = 1; Any value = 2; }
message Definitions { repeated NamedSchema additional_properties = 1; }
message Properties { repeated NamedSchema additional_properties = 1; }
message NamedSchema { string name = 1; Schema value = 2; }
message Schema {
  string _ref = 1; string format = 2; string title = 3; string description = 4; double maximum = 7; double minimum = 9;
  int64 max_length = 11; int64 min_length = 12; string pattern = 13; int64 max_items = 14; int64 min_items = 15;
  repeated string required = 19; repeated Any enum = 20; AdditionalPropertiesItem additional_properties = 21;
  TypeItem type = 22; ItemsItem items = 23; Properties properties = 25; repeated NamedAny vendor_extension = 31;
}
message AdditionalPropertiesItem { oneof oneof { Schema schema = 1; bool boolean = 2; } }
message TypeItem { repeated string value = 1; }
message ItemsItem { repeated Schema schema = 1; }
message Paths { repeated NamedPathItem path = 2; }
message NamedPathItem { string name = 1; PathItem value = 2; }
message PathItem {
  Operation get = 2; Operation put = 3; Operation post = 4; Operation delete = 5; Operation patch = 8;
  repeated ParametersItem parameters = 9;
}
message Operation {
  repeated string tags = 1; string description = 3; repeated string consumes = 7;
  repeated ParametersItem parameters = 8; Responses responses = 9; repeated NamedAny vendor_extension = 13;
}
message ParametersItem { Parameter parameter = 1; }
message Parameter { oneof oneof { BodyParameter body_parameter = 1; NonBodyParameter non_body_parameter = 2; } }
message BodyParameter { string name = 2; string in = 3; bool required = 4; Schema schema = 5; }
message NonBodyParameter {
  oneof oneof {
    QueryParameterSubSchema query_parameter_sub_schema = 3; PathParameterSubSchema path_parameter_sub_schema = 4;
  }
}
message QueryParameterSubSchema { bool required = 1; string in = 2; string name = 4; string type = 6; }
message PathParameterSubSchema { bool required = 1; string in = 2; string name = 4; string type = 5; }
message Responses { repeated NamedResponseValue response_code = 1; }
message NamedResponseValue { string name = 1; ResponseValue value = 2; }
message ResponseValue { Response response = 1; }
message Response { string description = 1; SchemaItem schema = 2; }
message SchemaItem { Schema schema = 1; }
`;

const DOCUMENT = protobuf.parse(MESSAGES).root.lookupType('openapi.v2.Document');
/** Fields of a schema that go over as they are, by their name in the message. */
const PLAIN = {
  $ref: '_ref',
  format: 'format',
  title: 'title',
  description: 'description',
  maximum: 'maximum',
  minimum: 'minimum',
  maxLength: 'maxLength',
  minLength: 'minLength',
  pattern: 'pattern',
  maxItems: 'maxItems',
  minItems: 'minItems',
  required: 'required',
} as const;
const METHODS = ['get', 'put', 'post', 'delete', 'patch'];

/**
 * The document in the form a client accepts: protobuf when it names it, else JSON.
 * @param document what openApiV2() gives
 */
export function encodeOpenApiV2(
  document: JsonObject,
  accept: string | undefined,
): { readonly bytes: Buffer; readonly type: string } {
  if (PROTOBUF_ACCEPTED.test(accept ?? '')) {
    return { bytes: openApiV2Protobuf(document), type: PROTOBUF };
  }
  return { bytes: Buffer.from(JSON.stringify(document), 'utf8'), type: 'application/json' };
}

function openApiV2Protobuf(document: JsonObject): Buffer {
  const paths = entries(document['paths']).map(([name, path]) => ({ name, value: pathItem(path) }));
  const message = DOCUMENT.fromObject({
    swagger: document['swagger'],
    info: document['info'],
    paths: { path: paths },
    definitions: { additionalProperties: namedSchemas(document['definitions']) },
  });
  return Buffer.from(DOCUMENT.encode(message).finish());
}

function entries(value: unknown): [string, JsonObject][] {
  return isRecord(value)
    ? Object.entries(value).filter((entry): entry is [string, JsonObject] => isRecord(entry[1]))
    : [];
}

function namedSchemas(value: unknown): object[] {
  return entries(value).map(([name, schema]) => ({ name, value: schemaMessage(schema) }));
}

function schemaMessage(schema: JsonObject): object {
  const message: JsonObject = {};
  for (const [key, field] of Object.entries(PLAIN)) {
    if (schema[key] !== undefined) message[field] = schema[key];
  }
  const { type, items, properties, additionalProperties } = schema;
  if (typeof type === 'string') message['type'] = { value: [type] };
  if (isRecord(items)) message['items'] = { schema: [schemaMessage(items)] };
  if (isRecord(properties)) {
    message['properties'] = { additionalProperties: namedSchemas(properties) };
  }
  if (isRecord(additionalProperties)) {
    message['additionalProperties'] = { schema: schemaMessage(additionalProperties) };
  } else if (typeof additionalProperties === 'boolean') {
    message['additionalProperties'] = { boolean: additionalProperties };
  }
  if (Array.isArray(schema['enum'])) message['enum'] = schema['enum'].map(anyValue);
  return { ...message, vendorExtension: extensions(schema) };
}

function anyValue(value: unknown): object {
  return { yaml: JSON.stringify(value) };
}

function extensions(object: JsonObject): object[] {
  return Object.entries(object)
    .filter(([name]) => name.startsWith('x-'))
    .map(([name, value]) => ({ name, value: anyValue(value) }));
}

function pathItem(path: JsonObject): object {
  const operations = entries(path).filter(([method]) => METHODS.includes(method));
  return {
    ...Object.fromEntries(operations.map(([method, value]) => [method, operation(value)])),
    parameters: parameters(path['parameters']),
  };
}

function operation(value: JsonObject): object {
  return {
    tags: value['tags'],
    description: value['description'],
    consumes: value['consumes'] ?? [],
    parameters: parameters(value['parameters']),
    responses: {
      responseCode: entries(value['responses']).map(([name, { description, schema }]) => ({
        name,
        value: {
          response: {
            description,
            ...(isRecord(schema) ? { schema: { schema: schemaMessage(schema) } } : {}),
          },
        },
      })),
    },
    vendorExtension: extensions(value),
  };
}

function parameters(value: unknown): object[] {
  const list: unknown[] = Array.isArray(value) ? value : [];
  return list.filter(isRecord).map(({ schema, ...plain }) => {
    if (plain['in'] === 'body') {
      const body = { ...plain, ...(isRecord(schema) ? { schema: schemaMessage(schema) } : {}) };
      return { parameter: { bodyParameter: body } };
    }
    const place = plain['in'] === 'path' ? 'pathParameterSubSchema' : 'queryParameterSubSchema';
    return { parameter: { nonBodyParameter: { [place]: plain } } };
  });
}
