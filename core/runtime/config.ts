import { readFileSync } from 'node:fs';

import { parse as parseYaml } from 'yaml';
import { z } from 'zod';

import { MeteringError } from './errors.ts';
import { suggestion } from './suggestion.ts';

/**
 * Input: settings from a file, from the environment and from secret files. Output: one frozen object per
 * schema. Guarantee: unknown keys are refused, and every problem is reported at once, by its path and with
 * what to do, before anything starts. Values never appear in a problem: they may be secrets.
 */
export const ENVIRONMENT_PREFIX = 'GH0STMETER_';

const FILE_SUFFIX = '_FILE';

export interface ConfigSource {
  /** Where the values come from, as a person would name it: a file or `the environment`. */
  readonly name: string;
  readonly values: unknown;
}

/** Settings as nested objects of plain values. */
export interface ConfigTree {
  readonly [key: string]: unknown;
}

export function loadConfig<S extends z.ZodType>(schema: S, source: ConfigSource): z.output<S> {
  const result = schema.safeParse(source.values, { reportInput: false });
  if (result.success) return deepFreeze(result.data);
  throw invalid(
    source.name,
    result.error.issues.flatMap((issue) => describeIssue(schema, issue)),
  );
}

/** A settings file: one object. A file that ends in `.json` is JSON; any other is YAML. */
export function readConfigFile(path: string): ConfigTree {
  const isJson = path.endsWith('.json');
  let values: unknown;
  try {
    const text = readFileSync(path, 'utf8');
    values = isJson ? JSON.parse(text) : parseYaml(text, { logLevel: 'error' });
  } catch (cause) {
    const isFault = cause instanceof Error && 'code' in cause && 'syscall' in cause;
    const what = isFault ? 'cannot be read' : `is not valid ${isJson ? 'JSON' : 'YAML'}`;
    throw new MeteringError('METER_CONFIG_INVALID', `${path} ${what}; correct it or name another file`, {
      cause,
    });
  }
  if (!isTree(values)) throw invalid(path, ['the file: must hold one object']);
  return values;
}

/**
 * Settings from variables: `GH0STMETER_KAFKA__GROUP_ID` is `kafka.groupId` (`__` goes one level down).
 * A name that ends in `_FILE` gives the content of the file it points to, without the line end: the way
 * secrets arrive as mounted files.
 */
export function readEnvironment(variables: NodeJS.ProcessEnv = process.env): ConfigTree {
  const tree: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [variable, value] of Object.entries(variables).sort()) {
    if (value === undefined || !variable.startsWith(ENVIRONMENT_PREFIX)) continue;
    const fromFile = variable.endsWith(FILE_SUFFIX);
    const name = fromFile ? variable.slice(0, -FILE_SUFFIX.length) : variable;
    if (fromFile && variables[name] !== undefined) {
      problems.push(`${name}: is set beside ${variable}; keep one of the two`);
      continue;
    }
    const content = fromFile ? readSecretFile(value) : value;
    if (content === undefined)
      problems.push(`${variable}: names a file that cannot be read; check its mount`);
    else if (!assign(tree, settingPath(name), content)) problems.push(`${name}: is both a value and a group`);
  }
  if (problems.length > 0) throw invalid('the environment', problems);
  return tree;
}

/**
 * Texts, such as those of the environment, as a schema wants them: a list parted by commas, a number, `true`
 * and `false`. `a:9092, b:9092` for brokers is `['a:9092', 'b:9092']`. What does not fit stays as it is, for
 * the schema to refuse.
 */
export function textsAs(schema: z.core.$ZodType, tree: ConfigTree): ConfigTree {
  const typed: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(tree)) {
    const wanted = schemaAt(schema, [key]);
    define(
      typed,
      key,
      isTree(value) && wanted !== undefined ? textsAs(wanted, value) : textAs(wanted, value),
    );
  }
  return typed;
}

function textAs(wanted: z.core.$ZodType | undefined, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (wanted instanceof z.ZodArray) {
    const { element } = wanted;
    return value.split(',').map((item) => textAs(unwrap(element), item.trim()));
  }
  if (wanted instanceof z.ZodNumber && /^-?\d+(\.\d+)?$/.test(value)) return Number(value);
  if (wanted instanceof z.ZodBoolean && /^(true|false)$/.test(value)) return value === 'true';
  return value;
}

/** Later sources win, key by key; lists are replaced as a whole. */
export function mergeConfig(...sources: readonly ConfigTree[]): ConfigTree {
  const merged: Record<string, unknown> = {};
  for (const source of sources) {
    for (const [key, value] of Object.entries(source)) {
      const former = Object.hasOwn(merged, key) ? merged[key] : undefined;
      define(merged, key, isTree(former) && isTree(value) ? mergeConfig(former, value) : value);
    }
  }
  return merged;
}

function invalid(where: string, problems: readonly string[]): MeteringError {
  const lines = problems.map((problem) => `\n  - ${problem}`).join('');
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  return new MeteringError('METER_CONFIG_INVALID', `${where}: ${count}${lines}`);
}

type Issue = z.core.$ZodIssue;

function describeIssue(schema: z.ZodType, issue: Issue): readonly string[] {
  const path = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, issue.path);
    return issue.keys.map((key) => {
      const full = path === '' ? key : `${path}.${key}`;
      return `${full}: unknown key${suggestion(key, known)}; remove it, or use one of: ${known.join(', ')}`;
    });
  }
  const missing = issue.code === 'invalid_type' && issue.message.endsWith('received undefined');
  const text = missing ? `is missing; set it (expected ${issue.expected})` : issue.message;
  return [`${path === '' ? 'the settings' : path}: ${text}`];
}

/** The keys that a schema knows at a path, as far as the way there leads through objects. */
function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): readonly string[] {
  const at = schemaAt(schema, path);
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

function schemaAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): z.core.$ZodType | undefined {
  let at: z.core.$ZodType | undefined = unwrap(schema);
  for (const key of path) {
    if (at instanceof z.ZodObject) at = unwrap((at.shape as z.core.$ZodShape)[String(key)]);
    else if (at instanceof z.ZodArray) at = unwrap(at.element);
    else if (at instanceof z.ZodRecord) at = unwrap(at.valueType);
    else return undefined;
  }
  return at;
}

function unwrap(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  let inner = schema;
  while (
    inner instanceof z.ZodOptional ||
    inner instanceof z.ZodDefault ||
    inner instanceof z.ZodPrefault ||
    inner instanceof z.ZodNullable ||
    inner instanceof z.ZodReadonly
  ) {
    inner = inner.unwrap();
  }
  return inner;
}

function settingPath(variable: string): readonly string[] {
  return variable
    .slice(ENVIRONMENT_PREFIX.length)
    .split('__')
    .map((part) => part.toLowerCase().replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()));
}

/** False where the way to the setting leads through another setting's value. */
function assign(tree: Record<string, unknown>, path: readonly string[], value: string): boolean {
  const [key, ...rest] = path;
  if (key === undefined) return false;
  if (rest.length === 0) {
    if (Object.hasOwn(tree, key)) return false;
    define(tree, key, value);
    return true;
  }
  const group = Object.hasOwn(tree, key) ? tree[key] : {};
  if (!isTree(group)) return false;
  define(tree, key, group);
  return assign(group, rest, value);
}

/** Plain assignment would treat a key such as `__proto__` as more than a name. */
function define(target: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
}

/**
 * Are traces asked for? By the OpenTelemetry SDK's own variables, so that it is configured as everywhere
 * else.
 */
export function isTracingConfigured(variables: NodeJS.ProcessEnv = process.env): boolean {
  return ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'].some(
    (name) => (variables[name] ?? '') !== '',
  );
}

function readSecretFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch {
    return undefined;
  }
}

function isTree(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
