import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';

import {
  loadConfig,
  mergeConfig,
  readConfigFile,
  readEnvironment,
  textsAs,
} from '../../../../core/runtime/config.ts';
import type { MeteringError } from '../../../../core/runtime/errors.ts';
import { Secret, secretSchema } from '../../../../core/runtime/secret.ts';

const schema = z.strictObject({
  store: z.strictObject({ url: z.url(), password: secretSchema.optional() }).optional(),
  kafka: z
    .strictObject({ brokers: z.array(z.string()), groupId: z.string().default('aggregator') })
    .optional(),
  clusters: z.array(z.strictObject({ name: z.string() })).default([]),
  port: z.coerce.number().int().max(65_535).default(8080),
});

function load(values: unknown): z.infer<typeof schema> {
  return loadConfig(schema, { name: 'metering.json', values });
}

function problemsOf(work: () => unknown): readonly string[] {
  try {
    work();
  } catch (error) {
    expect(error).toMatchObject({ code: 'METER_CONFIG_INVALID', retryable: false });
    return (error as MeteringError).message.split('\n').map((line) => line.trim());
  }
  throw new Error('nothing was refused');
}

function file(content: string, name = 'file'): string {
  const directory = mkdtempSync(join(tmpdir(), 'config-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

describe('a configuration', () => {
  test('reports every problem at once, by path, with what to do', () => {
    const problems = problemsOf(() =>
      load({ store: { urll: 'x' }, kafka: { brokers: [1] }, clusters: [{}], prot: 1, port: 70_000 }),
    );
    expect(problems).toEqual([
      'metering.json: 6 problems',
      '- store.url: is missing; set it (expected string)',
      '- store.urll: unknown key (did you mean "url"?); remove it, or use one of: url, password',
      '- kafka.brokers.0: Invalid input: expected string, received number',
      '- clusters.0.name: is missing; set it (expected string)',
      '- port: Too big: expected number to be <=65535',
      '- prot: unknown key (did you mean "port"?); remove it, or use one of: store, kafka, clusters, port',
    ]);
  });

  test('never shows a value, which may be a secret', () => {
    const values = { store: { url: 'hunter2', password: ['hunter2'] }, port: 'hunter2', hunter: 'hunter2' };
    expect(problemsOf(() => load(values)).join(' ')).not.toContain('hunter2');
  });

  test('is frozen down to its last list', () => {
    const config = load({ clusters: [{ name: 'dev' }] });
    expect(() => config.clusters.push({ name: 'prod' })).toThrow(TypeError);
    expect(() => Object.assign(config.clusters[0]!, { name: 'prod' })).toThrow(TypeError);
    expect(() => Object.assign(config, { port: 1 })).toThrow(TypeError);
  });
});

describe('a configuration file', () => {
  test('is one object, as JSON or as YAML', () => {
    expect(readConfigFile(file('{"port": 1}', 'a.json'))).toEqual({ port: 1 });
    expect(readConfigFile(file('port: 1', 'a.yaml'))).toEqual({ port: 1 });
    expect(problemsOf(() => readConfigFile(file('[1]', 'a.json'))).join()).toContain('must hold one object');
    expect(problemsOf(() => readConfigFile(file('', 'a.yaml'))).join()).toContain('must hold one object');
    const [json, yaml] = [file('{"port": }', 'a.json'), file('port: [', 'a.yaml')];
    expect(problemsOf(() => readConfigFile(json)).join()).toContain('is not valid JSON');
    expect(problemsOf(() => readConfigFile(yaml)).join()).toContain('is not valid YAML');
  });

  test('that is not there is named', () => {
    expect(problemsOf(() => readConfigFile('/nowhere/metering.json'))).toEqual([
      '/nowhere/metering.json cannot be read; correct it or name another file',
    ]);
  });
});

describe('the environment', () => {
  test('names settings by their path', () => {
    const tree = readEnvironment({
      GH0STMETER_PORT: '9090',
      GH0STMETER_KAFKA__GROUP_ID: 'other',
      GH0STMETER_STORE__URL: 'http://store:8123',
      PATH: '/bin',
    });
    expect(tree).toEqual({ port: '9090', kafka: { groupId: 'other' }, store: { url: 'http://store:8123' } });
  });

  test('wins over the file, key by key', () => {
    const fromFile = { port: 1, kafka: { brokers: ['a', 'b'], groupId: 'file' } };
    const merged = mergeConfig(fromFile, readEnvironment({ GH0STMETER_KAFKA__GROUP_ID: 'environment' }));
    expect(load(merged)).toMatchObject({ port: 1, kafka: { brokers: ['a', 'b'], groupId: 'environment' } });
    expect(fromFile.kafka.groupId).toBe('file');
  });

  test('takes secrets from mounted files, without the line end', () => {
    const path = file('s3cret \n');
    const config = load(
      readEnvironment({ GH0STMETER_STORE__URL: 'http://s', GH0STMETER_STORE__PASSWORD_FILE: path }),
    );
    expect(config.store?.password?.reveal()).toBe('s3cret ');
  });

  test('says everything that is wrong with it', () => {
    const problems = problemsOf(() =>
      readEnvironment({
        GH0STMETER_A: 'value',
        GH0STMETER_A__B: 'value',
        GH0STMETER_C: 'value',
        GH0STMETER_C_FILE: '/nowhere',
        GH0STMETER_D_FILE: '/nowhere',
      }),
    );
    expect(problems).toEqual([
      'the environment: 3 problems',
      '- GH0STMETER_A__B: is both a value and a group',
      '- GH0STMETER_C: is set beside GH0STMETER_C_FILE; keep one of the two',
      '- GH0STMETER_D_FILE: names a file that cannot be read; check its mount',
    ]);
  });

  test('cannot reach what objects inherit', () => {
    const tree = mergeConfig(JSON.parse('{"__proto__": {"port": 1}}') as Record<string, unknown>);
    expect(({} as { port?: number }).port).toBeUndefined();
    expect(problemsOf(() => load(tree)).join()).toContain('__proto__: unknown key');
  });
});

describe('texts of the environment', () => {
  const typed = z.strictObject({
    kafka: z.strictObject({
      brokers: z.array(z.string()),
      topics: z.object({ partitions: z.int() }).prefault({ partitions: 4 }),
    }),
    api: z.strictObject({ isOpen: z.boolean().default(false), port: z.int() }).optional(),
    name: z.string().optional(),
  });
  const load = (variables: NodeJS.ProcessEnv): unknown =>
    loadConfig(typed, { name: 'the environment', values: textsAs(typed, readEnvironment(variables)) });

  test('become what the schema wants: lists parted by commas, numbers, true and false', () => {
    expect(
      load({
        GH0STMETER_KAFKA__BROKERS: 'one:9092, two:9092',
        GH0STMETER_KAFKA__TOPICS__PARTITIONS: '12',
        GH0STMETER_API__PORT: '8080',
        GH0STMETER_API__IS_OPEN: 'true',
        GH0STMETER_NAME: '12',
      }),
    ).toEqual({
      kafka: { brokers: ['one:9092', 'two:9092'], topics: { partitions: 12 } },
      api: { isOpen: true, port: 8080 },
      name: '12',
    });
  });

  test('that do not fit are refused by the schema, by path and without their value', () => {
    const problems = problemsOf(() =>
      load({ GH0STMETER_KAFKA__TOPICS__PARTITIONS: 'twelve', GH0STMETER_KAFKA__BROKER: 'one:9092' }),
    );
    expect(problems.join()).toContain('kafka.topics.partitions');
    expect(problems.join()).toContain('unknown key (did you mean "brokers"?)');
    expect(problems.join()).not.toContain('twelve');
  });
});

describe('a secret', () => {
  const secret = new Secret('hunter2');

  test('gives its value only when asked by name', () => {
    expect(secret.reveal()).toBe('hunter2');
  });

  test('is never printed', async () => {
    const { inspect } = await import('node:util');
    const shown = [
      String(secret),
      JSON.stringify({ secret }),
      inspect({ secret }),
      inspect(secret, { showHidden: true }),
    ];
    expect(shown.join()).not.toContain('hunter2');
    expect(shown.every((text) => text.includes('[secret]'))).toBe(true);
  });

  test('is not empty', () => {
    expect(secretSchema.safeParse('').success).toBe(false);
  });
});
