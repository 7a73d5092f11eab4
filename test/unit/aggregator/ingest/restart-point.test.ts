import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RestartPoint, SAFE_AGE_MS } from '../../../../aggregator/ingest/restart-point.ts';
import type { LogPosition } from '../../../../core/eventlog/sample-log.ts';

const MINUTE = 60_000;
const NOON = Date.UTC(2026, 9, 1, 12);

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metering-restart-'));
  path = join(directory, 'restart.json');
});
afterEach(() => rm(directory, { recursive: true }));

function at(next: number): LogPosition[] {
  return [
    { topic: 'usage.demo', partition: 0, next: BigInt(next) },
    { topic: 'usage.demo', partition: 1, next: BigInt(next + 1) },
  ];
}

/** A run that notes its positions each minute, their number being the minute, and does not stop. */
async function runFor(minutes: number, fromMs = NOON): Promise<void> {
  const point = new RestartPoint(path);
  await point.begin();
  for (let minute = 0; minute < minutes; minute++) await point.note(fromMs + minute * MINUTE, at(minute));
}

test('without a file nothing is known to be on disk, so everything is repeated', async () => {
  expect(await new RestartPoint(path).begin()).toEqual({ unclean: true, sinceMs: 0, positions: [] });
});

test('after a clean stop nothing is repeated, and the next crash still knows where to go back to', async () => {
  await runFor(30);
  const point = new RestartPoint(path);
  await point.begin();
  await point.close();
  const afterStop = new RestartPoint(path);
  expect((await afterStop.begin()).unclean).toBe(false);
  expect(await new RestartPoint(path).begin()).toMatchObject({ unclean: true, positions: at(19) });
});

test('after an unclean stop it goes back to positions that were ten minutes old when the last were noted', async () => {
  await runFor(30);
  const sinceMs = NOON + 29 * MINUTE - SAFE_AGE_MS;
  expect(await new RestartPoint(path).begin()).toEqual({ unclean: true, sinceMs, positions: at(19) });
});

test('a second crash before anything was noted goes back to the same place', async () => {
  await runFor(30);
  const first = await new RestartPoint(path).begin();
  expect(await new RestartPoint(path).begin()).toEqual(first);
});

test('after a crash within the first ten minutes everything is repeated', async () => {
  await runFor(10);
  expect(await new RestartPoint(path).begin()).toEqual({ unclean: true, sinceMs: 0, positions: [] });
});

test('positions do not age while nothing runs', async () => {
  await runFor(30);
  const point = new RestartPoint(path);
  await point.begin();
  const nextDay = NOON + 24 * 60 * MINUTE;
  await point.note(nextDay, at(100));
  expect(await new RestartPoint(path).begin()).toMatchObject({ positions: at(29) });
});

test('positions are kept once a minute, and no more of them than a restart can need', async () => {
  const point = new RestartPoint(path);
  await point.begin();
  for (let second = 0; second < 7_200; second += 15) await point.note(NOON + second * 1_000, at(second));
  const { history } = JSON.parse(await readFile(path, 'utf8')) as { history: { atMs: number }[] };
  expect(history).toHaveLength(SAFE_AGE_MS / MINUTE + 1);
  expect(history.map(({ atMs }) => (NOON + 7_140_000 - atMs) / MINUTE)).toEqual([
    10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
  ]);
});

test('offsets beyond 2^53 survive', async () => {
  const next = 2n ** 60n + 1n;
  const point = new RestartPoint(path);
  await point.begin();
  const position = { topic: 'usage.demo', partition: 0, next };
  await point.note(NOON, [position]);
  await point.note(NOON + SAFE_AGE_MS, [{ ...position, next: next + 1n }]);
  expect((await new RestartPoint(path).begin()).positions).toEqual([position]);
});

test.each([
  ['cut short', '{"clean":false,"history":[{"atMs":1'],
  ['empty', ''],
  ['of another shape', '{"clean":"yes","history":[]}'],
  [
    'with a position that is no offset',
    '{"clean":true,"history":[{"atMs":1,"positions":[{"topic":"t","partition":0,"next":"-1"}]}]}',
  ],
])('a file that is %s is a fault that names the file and the way out', async (_, content) => {
  await writeFile(path, content);
  const begun = new RestartPoint(path).begin();
  await expect(begun).rejects.toMatchObject({ code: 'METER_CONFIG_INVALID', retryable: false });
  await expect(begun).rejects.toThrow(`${path} is damaged; remove it: the log is read again`);
  expect(await readFile(path, 'utf8')).toBe(content);
});

test('what a crash left beside the file is never read, and replaced by the next write', async () => {
  await runFor(30);
  await writeFile(`${path}.new`, '{"clean":tr');
  expect(await new RestartPoint(path).begin()).toMatchObject({ unclean: true, positions: at(19) });
  expect(await readdir(directory)).toEqual(['restart.json']);
});

test('a directory that is not there is an error, not a clean start', async () => {
  await expect(new RestartPoint(join(directory, 'gone', 'restart.json')).begin()).rejects.toThrow('ENOENT');
});
