/** Statements, decisions and a replay of both, by the command line alone. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ChdbStore } from '../../aggregator/store/clickhouse/chdb.ts';
import { migrate } from '../../aggregator/store/migrations.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { AccountsBench, Scrapes } from '../support/accounts.ts';
import { SCHEMA_DIRECTORY } from '../support/chdb.ts';
import { metering } from './program.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOVEMBER = Date.UTC(2026, 10, 1);
const DECEMBER = Date.UTC(2026, 11, 1);

let directory: string;
let data: string;
let capture: string;

function line({ topic, partition, offset, timestampMs, value }: LogRecord): string {
  const encoded = Buffer.from(value).toString('base64');
  return JSON.stringify({ topic, partition, offset: Number(offset), timestamp: timestampMs, value: encoded });
}

/** October and November, closed; two pods that are heard of after October's close. */
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metering-statements-'));
  data = join(directory, 'data');
  await mkdir(data);
  const store = await ChdbStore.open({ path: join(data, 'store') });
  await migrate(store, { directory: SCHEMA_DIRECTORY });
  const bench = new AccountsBench(store, ['north']);
  const scrapes = new Scrapes();
  const owners = { web: 'acme', db: 'globex' };
  const october = [
    scrapes.at(NOVEMBER - 2 * HOUR, { cpu: { 'web/a': 0, 'db/b': 5 }, owners }),
    scrapes.at(NOVEMBER - HOUR, { cpu: { 'web/a': 600, 'db/b': 25 } }),
    scrapes.at(NOVEMBER + 3 * DAY, { cpu: { 'web/a': 600, 'db/b': 25 } }),
  ];
  const late = [
    scrapes.at(NOVEMBER - HOUR / 2, { cpu: { 'web/late': 3 }, delayMs: 4 * DAY }),
    scrapes.at(NOVEMBER - HOUR / 4, { cpu: { 'web/late': 12 }, delayMs: 4 * DAY }),
    scrapes.at(DECEMBER + 3 * DAY, { cpu: { 'web/a': 600, 'db/b': 25 } }),
  ];
  await bench.take(october);
  await bench.passAt(NOVEMBER + 3 * DAY);
  await bench.take(late);
  await bench.passAt(DECEMBER + 3 * DAY);
  await store.close();
  capture = join(directory, 'capture.jsonl');
  await writeFile(capture, [...october, ...late].reverse().map(line).join('\n'));
}, 60_000);
afterAll(() => rm(directory, { recursive: true }));

describe('statement', () => {
  test('lists the statements of a closed period with their hashes', async () => {
    const { code, stdout } = await metering('statement', '--data', data, '--period', '2026-10');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^period,tenant,hash\n2026-10,acme,[0-9a-f]{64}\n2026-10,globex,[0-9a-f]{64}\n$/);
  });

  test('prints one, in every form', async () => {
    const of = (...more: string[]): ReturnType<typeof metering> =>
      metering('statement', '--data', data, '--period', '2026-11', '--tenant', 'acme', ...more);
    const statement = JSON.parse((await of()).stdout) as { corrections: { quantity: string }[] };
    expect(statement.corrections.map(({ quantity }) => quantity)).toEqual(['12000000000']);
    expect((await of('--format', 'csv')).stdout).toContain('12000000000');
    expect((await of('--format', 'focus')).stdout).toContain('BilledCost');
    expect((await of('--format', 'parquet')).stdout).toMatch(/^PAR1/);
  });

  test('says which periods are closed, and who has a statement', async () => {
    const open = await metering('statement', '--data', data, '--period', '2026-12');
    expect(open).toMatchObject({ code: 1, stdout: '' });
    expect(open.stderr).toContain('2026-12 is not a closed period');
    expect(open.stderr).toContain('closed are: 2026-10, 2026-11');
    const nobody = await metering('statement', '--data', data, '--period', '2026-10', '--tenant', 'initech');
    expect(nobody.stderr).toContain('2026-10 has no statement of initech; it has those of: acme, globex');
    const nowhere = await metering('statement', '--data', directory, '--period', '2026-10');
    expect(nowhere.stderr).toContain('holds no store');
  });
});

describe('decisions', () => {
  test('and the log give the same statements again, byte for byte', async () => {
    const decisions = join(directory, 'decisions.jsonl');
    await writeFile(decisions, (await metering('decisions', '--data', data)).stdout);
    const [live, again] = [join(directory, 'live'), join(directory, 'again')];
    for (const period of ['2026-10', '2026-11']) {
      expect((await metering('statement', '--data', data, '--period', period, '--out', live)).code).toBe(0);
    }
    const replay = await metering('replay', capture, '--decisions', decisions, '--statements', again);
    expect(replay.code, replay.stderr).toBe(0);
    expect(replay.stdout).toContain('acme,north,web,cpu,');
    for (const period of ['2026-10', '2026-11']) {
      const files = await readdir(join(live, period));
      expect(await readdir(join(again, period))).toEqual(files);
      for (const file of files) {
        const bytes = await readFile(join(again, period, file), 'utf8');
        expect(bytes).toBe(await readFile(join(live, period, file), 'utf8'));
      }
    }
  }, 60_000);

  test('that are none are refused with the line', async () => {
    const wrong = join(directory, 'wrong.jsonl');
    await writeFile(wrong, '{"kind":"close"}\n');
    const { code, stderr } = await metering('replay', capture, '--decisions', wrong);
    expect(code).toBe(1);
    expect(stderr).toContain(`${wrong}:1 is not a decision`);
    expect((await metering('replay', capture, '--decisions', join(directory, 'none'))).stderr).toContain(
      'cannot be read',
    );
  });
});

describe('an auditor', () => {
  test('verifies a closed month from its samples', async () => {
    const { code, stdout, stderr } = await metering('verify', '--data', data, '--period', '2026-10');
    expect(code, stdout + stderr).toBe(0);
    expect(stdout).toContain('2026-10');
    const open = await metering('verify', '--data', data, '--period', '2026-12');
    expect(open.code).toBe(1);
    expect(open.stderr).toContain('2026-10, 2026-11');
  });

  test('has a figure explained down to the log', async () => {
    const of = (...more: string[]): ReturnType<typeof metering> =>
      metering('explain', '--data', data, '--meter', 'cpu', '--tenant', 'acme', ...more);
    const text = await of('--hour', '2026-10-31T22:00:00Z');
    expect(text.code, text.stderr).toBe(0);
    expect(text.stdout).toMatch(/600[,_]?000[,_]?000[,_]?000/);
    expect(text.stdout).toContain('usage.north/0');
    const json = await of('--hour', '2026-10-31T22:00:00Z', '--format', 'json');
    expect(JSON.parse(json.stdout)).toMatchObject({ equal: true });
    expect((await of('--hour', '2026-10-31T22:30:00Z')).stderr).toContain('--hour is the start of an hour');
  });
});

test('rebuild makes what queries read again', async () => {
  const { code, stderr } = await metering('rebuild', '--data', data);
  expect(code, stderr).toBe(0);
});
