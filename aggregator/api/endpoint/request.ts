/**
 * What a request brings, against the schemas of its endpoint. Every problem is found in one go and told in
 * words of ours with a stable code; a parameter that is not declared is a problem too.
 */
import { z } from 'zod';

import { suggestion } from '../../../core/runtime/suggestion.ts';
import { isRequestProblemCode, type RequestProblem, type RequestProblemCode } from '../problem.ts';

export type Reading =
  | { readonly ok: true; readonly value: unknown }
  | {
      readonly ok: false;
      readonly problems: readonly RequestProblem[];
      /** By name, what is right nevertheless; absent parameters among it. */
      readonly right: Readonly<Record<string, unknown>>;
      /** Names of declared parameters that are not. */
      readonly wrong: readonly string[];
    };

/** The part of a JSON schema that decides how text of an address is read. */
export interface ParameterSchema {
  readonly type?: string;
  readonly anyOf?: readonly ParameterSchema[];
  readonly [keyword: string]: unknown;
}

export interface ObjectSchema {
  readonly properties: Readonly<Record<string, ParameterSchema>>;
  readonly required: readonly string[];
}

/** Names, kinds and bounds of parameters, as the OpenAPI document has them. */
export function parametersOf(schema: z.ZodType): ObjectSchema {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input' }) as Partial<ObjectSchema>;
  return { properties, required };
}

/** For schemas: a problem with a code of ours, found while a value is read. */
export function complain(context: z.RefinementCtx, code: RequestProblemCode, message: string): never {
  context.addIssue({ code: 'custom', message, params: { problem: code } });
  return z.NEVER;
}

/** Reads a query string as the framework parses it: text, or a list of text, by name. */
export class QueryReader {
  readonly #schema: z.ZodType;
  readonly #parameters: ObjectSchema['properties'];

  constructor(schema: z.ZodType) {
    this.#schema = schema;
    this.#parameters = parametersOf(schema).properties;
  }

  read(query: Readonly<Record<string, string | readonly string[]>>): Reading {
    const repeated: RequestProblem[] = [];
    const given: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(query)) {
      const parameter = this.#parameters[name];
      const values = [value].flat();
      if (parameter === undefined || isList(parameter)) given[name] = values;
      else {
        given[name] = scalar(parameter, values[0] ?? '');
        if (values.length > 1)
          repeated.push({ parameter: name, code: 'repeated_parameter', detail: 'Give it once.' });
      }
    }
    const reading = readObject(this.#schema, given);
    if (repeated.length === 0) return reading;
    const { right, wrong } = reading.ok ? partsOf(this.#schema, given) : reading;
    const problems = [...repeated, ...(reading.ok ? [] : reading.problems)];
    return { ok: false, problems, right, wrong: [...wrong, ...repeated.map(({ parameter }) => parameter)] };
  }
}

function isList({ type, anyOf = [] }: ParameterSchema): boolean {
  return type === 'array' || anyOf.some(isList);
}

/** Text that is no number stays text, and the schema says what it should be. */
function scalar({ type }: ParameterSchema, text: string): unknown {
  if ((type === 'integer' || type === 'number') && /^-?\d{1,15}$/.test(text)) return Number(text);
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}

/** Reads what is an object already: a JSON body, or the parameters of a path. */
export function readObject(schema: z.ZodType, given: unknown): Reading {
  const result = schema.safeParse(given, { reportInput: true, error: messageOf });
  if (result.success) return { ok: true, value: result.data };
  const known = Object.keys(parametersOf(schema).properties);
  const problems = result.error.issues.flatMap((issue) => problemsOf(issue, known));
  return { ok: false, problems, ...partsOf(schema, given) };
}

/** Each parameter by itself. */
function partsOf(schema: z.ZodType, given: unknown): Pick<Reading & { ok: false }, 'right' | 'wrong'> {
  const values = given as Readonly<Record<string, unknown>>;
  const isObject = typeof given === 'object' && given !== null && !Array.isArray(given);
  const read = Object.entries(fieldsOf(schema)).map(([name, field]) => ({
    name,
    result: isObject ? field.safeParse(values[name]) : undefined,
  }));
  const right = read.flatMap(({ name, result }) => (result?.success === true ? [[name, result.data]] : []));
  const wrong = read.filter(({ result }) => result?.success !== true).map(({ name }) => name);
  return { right: Object.fromEntries(right) as Readonly<Record<string, unknown>>, wrong };
}

/** Of an object, also where something is made of it then. */
function fieldsOf(schema: z.ZodType): Readonly<Record<string, z.ZodType>> {
  if (schema instanceof z.ZodPipe) return fieldsOf(schema.in as z.ZodType);
  return schema instanceof z.ZodObject ? schema.shape : {};
}

type Issue = z.core.$ZodIssue;

function problemsOf(issue: Issue, known: readonly string[]): RequestProblem[] {
  const parameter = nameOf(issue.path);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        parameter: nameOf([...issue.path, key]),
        code: 'unknown_parameter',
        detail: unknownParameter(key, issue.path.length === 0 ? known : []),
      }));
    case 'invalid_union': {
      const branch = closest(issue.errors);
      if (branch === undefined) return [{ parameter, code: 'wrong_type', detail: issue.message }];
      return branch.flatMap((inner) => problemsOf({ ...inner, path: [...issue.path, ...inner.path] }, known));
    }
    default:
      return [{ parameter, code: codeOf(issue), detail: issue.message }];
  }
}

function unknownParameter(key: string, known: readonly string[]): string {
  if (known.length === 0) return 'Not known.';
  return `Not known${suggestion(key, known)}. Known: ${known.join(', ')}.`;
}

/** The branch that was meant: one whose own type fitted, and something within did not. */
function closest(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  return branches.find((issues) => issues.every((one) => one.path.length > 0 || one.code !== 'invalid_type'));
}

/** `['filterGroupBy', 'tenant', 0]` is `filterGroupBy[tenant]`: places in lists are not told. */
function nameOf(path: readonly PropertyKey[]): string {
  const [first = '', ...rest] = path.filter((part) => typeof part !== 'number').map(String);
  return `${first}${rest.map((part) => `[${part}]`).join('')}`;
}

function codeOf(issue: Issue): RequestProblemCode {
  if (isBlank(issue.input)) return 'empty_value';
  switch (issue.code) {
    case 'invalid_type':
      if (issue.path.length === 0) return 'not_an_object';
      if (issue.input === undefined) return 'missing_parameter';
      return issue.expected === 'string' ? 'not_text' : 'wrong_type';
    case 'too_big':
      return issue.origin === 'array' ? 'too_many_values' : 'out_of_bounds';
    case 'too_small':
    case 'not_multiple_of':
      return 'out_of_bounds';
    case 'invalid_value':
      return 'unknown_value';
    case 'custom': {
      const told: unknown = issue.params?.['problem'];
      return isRequestProblemCode(told) ? told : 'bad_format';
    }
    default:
      return 'bad_format';
  }
}

function isBlank(value: unknown): boolean {
  return typeof value === 'string' && value.trim() === '';
}

/** Said where a schema says nothing of its own. */
function messageOf(issue: z.core.$ZodRawIssue): string | undefined {
  if (isBlank(issue.input)) return 'Give a value or leave it out.';
  switch (issue.code) {
    case 'invalid_type':
      if ((issue.path ?? []).length === 0) return 'The body has to be a JSON object.';
      if (issue.input === undefined) return 'It has to be given.';
      return issue.expected === 'string' ? 'Give text.' : `Give ${article(issue.expected)}.`;
    case 'invalid_union':
      return 'Give text, or a list of texts.';
    case 'too_big':
      return bound('At most', issue.maximum, issue.origin);
    case 'too_small':
      return bound('At least', issue.minimum, issue.origin);
    case 'invalid_value': {
      const values = issue.values.map(String);
      return `One of ${values.join(', ')}${suggestion(String(issue.input), values)}.`;
    }
    default:
      return undefined;
  }
}

function article(kind: string): string {
  if (kind === 'int') return 'a whole number';
  return /^[aeiou]/.test(kind) ? `an ${kind}` : `a ${kind}`;
}

function bound(word: string, limit: number | bigint, origin: string): string {
  const what = origin === 'string' ? ' characters' : origin === 'array' ? ' values' : '';
  return `${word} ${limit}${what}.`;
}
