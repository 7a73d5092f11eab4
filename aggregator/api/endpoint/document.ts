/**
 * The OpenAPI 3.1 document of endpoints: their schemas as JSON Schema (2020-12), and the frame's answers. Its
 * dialect is the one that OpenAPI takes unless told, which is 2020-12 and more: of another one, readers warn.
 */
import { z } from 'zod';

import { PROBLEM_TYPE, problemKind, problemSchema, type ProblemCode } from '../problem.ts';
import type { AnswerDeclaration, Declaration, Endpoint, Media } from './endpoint.ts';
import { JSON_TYPE } from './register.ts';
import { parametersOf, type ParameterSchema } from './request.ts';

/** Of the API, not of the program: what breaks a client changes the first number, and the path. */
const API_VERSION = '1.0.0';

const ABOUT = `
Usage of tenants, read only: what is metered is declared in Git. Ranges are half-open (\`[from, to)\`),
quantities are whole numbers of the meter's base unit as decimal strings. A request that is not answered gets
a problem (RFC 9457) whose \`code\` is stable; \`problems\` lists all that is wrong with its parameters.
Fields may be added to answers; clients have to pass over those that they do not know.`.trim();

/** Problems that any request may meet. */
const ANYWHERE: readonly ProblemCode[] = [
  'METER_REQUEST_INVALID',
  'METER_REQUEST_MALFORMED',
  'METER_UNAUTHENTICATED',
  'METER_FORBIDDEN',
  'METER_NOT_ACCEPTABLE',
  'METER_REQUEST_TIMEOUT',
  'METER_MISDIRECTED',
  'METER_TOO_MANY_REQUESTS',
  'METER_HEADERS_TOO_LARGE',
  'METER_INTERNAL',
  'METER_UNAVAILABLE',
  'METER_IDENTITY_UNAVAILABLE',
  'METER_TIMEOUT',
  'METER_OVERLOADED',
];
const WITH_BODY: readonly ProblemCode[] = ['METER_BODY_TOO_LARGE', 'METER_MEDIA_TYPE_UNSUPPORTED'];

export type JsonObject = Readonly<Record<string, unknown>>;

export function openApiDocument(endpoints: readonly Endpoint<never>[]): JsonObject {
  const paths: Record<string, Record<string, JsonObject>> = {};
  for (const { declaration } of endpoints) {
    const { path, method } = declaration;
    paths[path] = { ...paths[path], [method.toLowerCase()]: operation(declaration) };
  }
  return {
    openapi: '3.1.1',
    info: { title: 'gh0stcloud metering', version: API_VERSION, description: ABOUT },
    servers: [{ url: '/' }],
    security: [{ accessToken: [] }],
    tags: [...new Set(endpoints.map(({ declaration }) => declaration.tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: { Problem: jsonSchema(problemSchema, 'output') },
      securitySchemes: {
        accessToken: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'An access token of the issuer. None is asked for where none is configured.',
        },
      },
    },
  };
}

function operation(declaration: Declaration): JsonObject {
  const { operationId, tag, summary, description, params, query, body } = declaration;
  const parameters = [...parametersIn('path', params), ...parametersIn('query', query)];
  return {
    operationId,
    tags: [tag],
    summary,
    description,
    ...(declaration.deprecation !== undefined && { deprecated: true }),
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && {
      requestBody: { required: true, content: { [JSON_TYPE]: { schema: jsonSchema(body, 'input') } } },
    }),
    responses: { ...answersOf(declaration), ...problemsOf(declaration) },
  };
}

function parametersIn(place: 'path' | 'query', schema: z.ZodType | undefined): JsonObject[] {
  if (schema === undefined) return [];
  const { properties, required } = parametersOf(schema);
  return Object.entries(properties).map(([name, { description, ...property }]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    ...(description !== undefined && { description }),
    schema: place === 'path' ? property : asList(property),
  }));
}

/** In an address one value is a list of one, so a list is all there is to say. */
function asList(schema: ParameterSchema): ParameterSchema {
  return schema.anyOf?.find(({ type }) => type === 'array') ?? schema;
}

function answersOf({ answers }: Declaration): JsonObject {
  return Object.fromEntries(
    Object.entries(answers).map(([status, { description, json, media, headers }]) => {
      const content = contentOf({ description, ...(json && { json }), ...(media && { media }) });
      const named = Object.entries(headers ?? {}).map(([name, text]) => [
        name,
        { description: text, schema: { type: 'string' } },
      ]);
      return [
        status,
        {
          description,
          ...(named.length > 0 && { headers: Object.fromEntries(named) as JsonObject }),
          ...(content !== undefined && { content }),
        },
      ];
    }),
  );
}

function contentOf({ json, media = {} }: AnswerDeclaration): JsonObject | undefined {
  const others = Object.entries(media).map(([type, holds]) => [type, { schema: mediaSchema(type, holds) }]);
  const all = [
    ...(json === undefined ? [] : [[JSON_TYPE, { schema: jsonSchema(json, 'output') }]]),
    ...others,
  ];
  return all.length === 0 ? undefined : (Object.fromEntries(all) as JsonObject);
}

/** Bytes have no type in JSON Schema: that there is none, and a media type, says what they are. */
function mediaSchema(type: string, holds: Media): JsonObject {
  return typeof holds === 'string'
    ? { type: 'string', description: holds }
    : { contentMediaType: type, description: holds.bytes };
}

/** By status, each with the codes that it can have. */
function problemsOf({ params, body, problems }: Declaration): JsonObject {
  const codes = new Set<ProblemCode>([
    ...ANYWHERE,
    ...(params === undefined ? [] : (['METER_NOT_FOUND'] as const)),
    ...(body === undefined ? [] : WITH_BODY),
    ...problems,
  ]);
  const byStatus = Map.groupBy([...codes].sort(), (code) => problemKind(code).status);
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => [
      status,
      {
        description: group.map((code) => `\`${code}\`: ${problemKind(code).title}.`).join(' '),
        content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  );
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonObject {
  const override = ({ jsonSchema: node }: { readonly jsonSchema: z.core.JSONSchema.BaseSchema }): void => {
    listInsteadOfTuple(node);
  };
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, override });
  return rest;
}

/** So many of one kind: tools that write tuples as older dialects do stumble over `prefixItems`. */
function listInsteadOfTuple(node: z.core.JSONSchema.BaseSchema): void {
  const [first, ...others] = node.prefixItems ?? [];
  if (first === undefined || node.items !== false) return;
  if (others.some((other) => JSON.stringify(other) !== JSON.stringify(first))) return;
  delete node.prefixItems;
  const n = others.length + 1;
  Object.assign(node, { items: first, minItems: n, maxItems: n });
}
