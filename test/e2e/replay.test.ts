/** `replay` on real captures: the same samples give the same bytes, whatever they are wrapped in. */
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Random } from '../property/worlds/random.ts';
import { decodePublished, publishedMetricsData } from '../support/published-otlp.ts';
import { captures, expectedCsv, linesOf } from '../vectors/captures/expect.ts';
import { metering, ROOT, shell, type Output } from './program.ts';

const SHARED = join(ROOT, '../shared/captures');
const CAPTURES = captures();
const HEADER = 'hour,tenant,cluster,namespace,meter,quantity,unit,q0,q1,q2,q3,missing_ms,samples,flags';
const SPECIFIED_COLUMNS = 6;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metering-replay-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, content);
  return path;
}

function specified({ code, stdout, stderr }: Output): string {
  expect(code, stderr).toBe(0);
  return stdout.replaceAll(/^.*$/gm, (line) => line.split(',').slice(0, SPECIFIED_COLUMNS).join());
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, place: random.next() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

interface Line {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  readonly timestamp: string;
  readonly value: string;
}

interface Decoded {
  readonly resourceMetrics: readonly {
    readonly resource: unknown;
    readonly scopeMetrics: readonly { readonly scope: unknown; readonly metrics: readonly unknown[] }[];
  }[];
}

/** The same points in other records: each record's metrics dealt out to three, and those of two records in one. */
function rebatched(lines: readonly string[], random: Random): string[] {
  const records = lines.map((line) => JSON.parse(line) as Line);
  const parts = records.flatMap(({ value, ...record }) => {
    const { resourceMetrics } = decodePublished(Buffer.from(value, 'base64')) as Decoded;
    return [0, 1, 2].map((third) => ({
      ...record,
      resourceMetrics: resourceMetrics.map(({ resource, scopeMetrics }) => ({
        resource,
        scopeMetrics: scopeMetrics.map(({ scope, metrics }) => ({
          scope,
          metrics: metrics.filter((_, index) => index % 3 === third),
        })),
      })),
    }));
  });
  // Two of one time, so that the record's own time says the same of both.
  const byTime = [...Map.groupBy(shuffled(parts, random), ({ timestamp }) => timestamp).values()];
  const pairs = byTime.flatMap((all) => all.flatMap((_, i) => (i % 2 === 0 ? [all.slice(i, i + 2)] : [])));
  return pairs.flatMap((pair, offset) => {
    const [first] = pair;
    if (first === undefined) return [];
    const merged = { resourceMetrics: pair.flatMap(({ resourceMetrics }) => resourceMetrics) };
    const value = publishedMetricsData.encode(publishedMetricsData.fromObject(merged)).finish();
    const { resourceMetrics: _, ...record } = first;
    return [JSON.stringify({ ...record, offset: `${offset}`, value: Buffer.from(value).toString('base64') })];
  });
}

describe.each(CAPTURES)('$file', ({ file: path, expectedFile, lines }) => {
  let whole: Output;
  beforeAll(async () => {
    whole = await metering('replay', path);
  });

  test('the model still says what the CSV beside it says', async () => {
    expect(expectedCsv(lines)).toBe(await readFile(expectedFile, 'utf8'));
  });

  test('the program prints the same, and further columns only after it', async () => {
    expect(specified(whole)).toBe(await readFile(expectedFile, 'utf8'));
    const [header = '', ...rows] = whole.stdout.trimEnd().split('\n');
    expect(header).toBe(HEADER);
    expect(rows).toEqual(rows.toSorted());
    for (const row of rows) {
      const cells = row.split(',');
      const quarters = cells.slice(7, 11).map(BigInt);
      expect(quarters.reduce((a, b) => a + b)).toBe(BigInt(cells[5] ?? ''));
    }
  });

  test('each record three times, in any order, over three files, plain and gzipped: the same bytes', async () => {
    const random = new Random(1);
    const thrice = shuffled([...lines, ...lines, ...lines], random);
    const third = Math.ceil(thrice.length / 3);
    const parts = [0, 1, 2].map((i) => `${thrice.slice(i * third, (i + 1) * third).join('\n')}\n`);
    const files = await Promise.all(
      parts.map((part, i) =>
        i === 1
          ? file(`part-${i}.gz`, gzipSync(part))
          : file(`part-${i}.jsonl`, part.replaceAll('\n', '\r\n')),
      ),
    );
    expect((await metering('replay', ...files)).stdout).toBe(whole.stdout);
  });

  test('split and merged into other records, encoded anew: the same bytes', async () => {
    const anew = rebatched(lines, new Random(2));
    expect(anew.length).toBeGreaterThan(lines.length);
    const path = await file('rebatched.jsonl', `\n${anew.join('\n')}`);
    expect((await metering('replay', path)).stdout).toBe(whole.stdout);
  });

  test('as JSON it says the same in objects', async () => {
    const { code, stdout } = await metering('replay', path, '--format', 'json');
    expect(code).toBe(0);
    const objects = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, string>);
    const rows = objects.map((object) => Object.values(object).join());
    expect([Object.keys(objects[0] ?? {}).join(), ...rows, ''].join('\n')).toBe(whole.stdout);
  });

  test('other settings give what the model gives with them', async () => {
    const settings = {
      tenantLabel: 'label_kubernetes_io_metadata_name',
      platformNamespaces: ['kube-system', 'monitoring'],
      maxHoldMs: 2_000,
      maxCores: 1,
    };
    const settingsFile = await file('settings.json', JSON.stringify(settings));
    const output = await metering('replay', path, '--settings', settingsFile);
    expect(specified(output)).toBe(expectedCsv(lines, settings));
    expect(specified(output)).not.toBe(await readFile(expectedFile, 'utf8'));
  });
});

describe('standard input', () => {
  const [capture] = CAPTURES;

  test('is replayed as a file is, also gzipped: what capture prints needs no file between', async () => {
    const lines = await file('piped.jsonl', `${capture?.lines.join('\n') ?? ''}\n`);
    const printed = await metering('replay', lines);
    expect(printed.stdout.length).toBeGreaterThan(HEADER.length + 1);
    expect((await shell(`cat '${lines}' | metering replay -`)).stdout).toBe(printed.stdout);
    expect((await shell(`gzip -c '${lines}' | metering replay -`)).stdout).toBe(printed.stdout);
  });

  test("is nobody else's: an embedded store neither waits for it nor takes it for rows", async () => {
    const path = await file('given.jsonl', `${capture?.lines.join('\n') ?? ''}\n`);
    const { stdout } = await metering('replay', path);
    expect((await shell(`echo '{"no": "row"}' | metering replay '${path}'`)).stdout).toBe(stdout);
    // Whoever holds the pipe open ends with the program, and not the other way round.
    const open = `mkfifo '${path}.pipe' && exec 3<>'${path}.pipe' && metering replay '${path}' <&3`;
    expect((await shell(open)).stdout).toBe(stdout);
  });
});

describe('what cannot be read', () => {
  const [first = ''] = CAPTURES[0]?.lines ?? [];

  test.each([
    ['no JSON', '{"topic":"usage.rt1","par', ':3 is not a captured record'],
    [
      'without a value',
      '{"topic":"usage.rt1","partition":0,"offset":"1","timestamp":"1"}',
      ':3 is not a captured record',
    ],
    [
      'with a value that is no base64',
      '{"topic":"t","partition":0,"offset":"1","timestamp":"1","value":"%"}',
      ':3 is not',
    ],
    [
      'with a negative offset',
      '{"topic":"t","partition":0,"offset":"-1","timestamp":"1","value":""}',
      ':3 is not',
    ],
  ])('a line %s is named by file and number, and nothing is printed', async (name, line, message) => {
    const path = await file('broken.jsonl', `${first}\n\n${line}\n${first}\n`);
    const { code, stdout, stderr } = await metering('replay', path);
    expect({ name, code, stdout }).toEqual({ name, code: 1, stdout: '' });
    expect(stderr).toContain(`METER_INPUT_UNREADABLE: ${path}${message}`);
    expect(stderr).not.toContain('    at ');
  });

  test('a gzip file that was cut short is refused as a whole', async () => {
    const path = await file('cut.gz', gzipSync(`${first}\n${first}\n`).subarray(0, -100));
    const { code, stdout, stderr } = await metering('replay', path);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain(`METER_INPUT_UNREADABLE: ${path} cannot be read after line`);
  });

  test('a file that is not there is named', async () => {
    const path = join(directory, 'nothing.jsonl');
    const { code, stdout, stderr } = await metering('replay', path);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain(`METER_INPUT_UNREADABLE: ${path} cannot be read after line 0`);
  });

  test('a record that is no OTLP is passed over, as in production', async () => {
    const record = { topic: 't', partition: 0, offset: '0', timestamp: '1795360310426', value: 'CgD/' };
    const path = await file('poison.jsonl', JSON.stringify(record));
    expect(await metering('replay', path)).toMatchObject({ code: 0, stdout: `${HEADER}\n` });
  });

  test('an empty file gives no rows', async () => {
    const path = await file('empty.jsonl', '');
    expect(await metering('replay', path)).toMatchObject({ code: 0, stdout: `${HEADER}\n` });
  });
});

describe.skipIf(!existsSync(SHARED))(
  'the long captures (skipped where ../shared/captures is not there)',
  () => {
    const names = existsSync(SHARED) ? readdirSync(SHARED).filter((name) => name.endsWith('.jsonl.gz')) : [];

    test.each(names.sort())('%s gives the expected figures, as it is and three times over', async (name) => {
      const path = join(SHARED, name);
      const expectedName = `expected-${name.replace(/(-otlp-\w+)?\.jsonl\.gz$/, '')}.csv`;
      const figures = await readFile(join(SHARED, expectedName), 'utf8');
      const whole = await metering('replay', path);
      expect(specified(whole)).toBe(figures);
      const lines = linesOf(path);
      const thrice = await file(
        'thrice.jsonl',
        shuffled([...lines, ...lines, ...lines], new Random(3)).join('\n'),
      );
      expect((await metering('replay', thrice)).stdout).toBe(whole.stdout);
    });
  },
);
