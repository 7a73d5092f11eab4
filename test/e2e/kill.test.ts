/**
 * Fault model: the process is killed (SIGKILL) at any moment, again and again: while it migrates, inserts, commits, goes
 * back after a kill, rolls up, closes. What the kernel has taken from it stays; the disk does not fail. KILLS says how
 * many; a run takes ten of them and is then left to finish. Where each hit is printed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EmbeddedLog, embeddedLogSchema } from '../../core/eventlog/embedded.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { modelUsage } from '../model/model.ts';
import { buildWorld } from '../property/worlds.ts';
import { WORLD_PARTITIONS } from '../property/worlds/details.ts';
import { Random } from '../property/worlds/random.ts';
import { fullSettings, logRecord } from '../support/pipeline.ts';
import { RESULT_FILE, type ChildConfig } from './kill-child.ts';
import { stateDifferences, usageLines, type State } from './state.ts';

const KILLS = Number(process.env['KILLS'] ?? 10);
const SEED = Number(process.env['KILL_SEED'] ?? 1);
const KILLS_PER_RUN = 10;
/** Of one group of settings. Some records come a day late, some scrapes twice, some records are unreadable. */
const WORLDS = Array.from({ length: 5 }, (_, index) => buildWorld(100 + index));
const SETTINGS = fullSettings(buildWorld(100).settings);
const CLUSTERS = ['rt1', 'rt2', 'rt3'];
/** So many times as fast as real time: the ten minutes that a restart goes back are 3 s. */
const SPEED = 200;
const BATCH_BYTES = 8_192;
/** A kill cannot tell it from a disk, and the test is done in half the time. */
const IN_MEMORY = '/dev/shm';
const LONGEST_DELAY_MS = 8;
const CHILD = join(import.meta.dirname, 'kill-child.ts');

/** The log's retention goes by the clock: nothing in it is old yet. */
const BEGIN_MS = WORLDS.flatMap(({ records }) => records).reduce(
  (least, { timestampMs }) => Math.min(least, timestampMs),
  Infinity,
);

const clock = new SystemClock();
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(existsSync(IN_MEMORY) ? IN_MEMORY : tmpdir(), 'metering-kill-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** A data directory whose log holds all worlds, by the time of their records, and whose store is empty. */
async function prepare(name: string): Promise<string> {
  const directory = join(root, name);
  await mkdir(directory);
  const config = embeddedLogSchema.parse({ directory: join(directory, 'log'), partitions: WORLD_PARTITIONS });
  const log = new EmbeddedLog(config, { clock, facts: { event: () => undefined } });
  const records = WORLDS.flatMap(({ records }) => records.map((record) => logRecord(record)));
  await log.append(records.sort((a, b) => a.timestampMs - b.timestampMs));
  await log.close();
  return directory;
}

interface Kill {
  /** The step before or after which it comes, as the child says it, and which time that is said. */
  readonly step: string;
  readonly time: number;
  readonly delayMs: number;
}

interface Life {
  readonly killed: boolean;
  /** The last thing it said. */
  readonly end: string;
  /** How often each step was said. */
  readonly steps: ReadonlyMap<string, number>;
  /** How long it ran, without its start. */
  readonly upMs: number;
}

/** One process on a data directory, to its end or to the kill. */
async function live(directory: string, startMs: number, kill?: Kill): Promise<Life> {
  const config: ChildConfig = {
    ...{ directory, clusters: CLUSTERS, settings: SETTINGS, startMs, speed: SPEED },
    maxBatchBytes: BATCH_BYTES,
  };
  const child = spawn(process.execPath, [CHILD, JSON.stringify(config)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const steps = new Map<string, number>();
  let end = 'nothing';
  let upSince = clock.now();
  for await (const line of createInterface({ input: child.stdout })) {
    if (steps.size === 0) upSince = clock.now();
    end = line;
    const times = (steps.get(line) ?? 0) + 1;
    steps.set(line, times);
    if (line !== kill?.step || times !== kill.time) continue;
    await clock.sleep(kill.delayMs);
    child.kill('SIGKILL');
  }
  const [code, signal] = await closed;
  if (signal !== 'SIGKILL') expect(code, `it ended by itself at "${end}":\n${errors}`).toBe(0);
  return { killed: signal === 'SIGKILL', end, steps, upMs: clock.now() - upSince };
}

async function stateOf(directory: string): Promise<State> {
  return JSON.parse(await readFile(join(directory, RESULT_FILE), 'utf8')) as State;
}

/** Kills at steps drawn evenly from the kinds there are, so that the many reads do not take them all. */
function killAt(random: Random, steps: ReadonlyMap<string, number>): Kill {
  const [first, ...others] = steps.keys();
  const step = random.pick([first ?? '', ...others]);
  return {
    step,
    time: random.int(1, Math.ceil((steps.get(step) ?? 1) / 2)),
    delayMs: random.int(0, LONGEST_DELAY_MS),
  };
}

const ONLY_AT_FIRST = /CREATE|ALTER|schema_/;

/** Kills one run again and again, then lets it finish; where it was hit. */
async function killedRun(directory: string, random: Random, whole: Life, kills: number): Promise<string[]> {
  const hits: string[] = [];
  const later = new Map([...whole.steps].filter(([step]) => !ONLY_AT_FIRST.test(step)));
  let nowMs = BEGIN_MS;
  for (let life = 0; hits.length < kills; life++) {
    const { killed, end, upMs } = await live(
      directory,
      nowMs,
      killAt(random, life === 0 ? whole.steps : later),
    );
    nowMs += Math.ceil(upMs * SPEED);
    if (!killed) return hits;
    hits.push(end);
  }
  const last = await live(directory, nowMs);
  expect(last.killed).toBe(false);
  return hits;
}

test(`usage is the same after ${KILLS} kills at any moment as after none`, async () => {
  const undisturbed = await prepare('undisturbed');
  const whole = await live(undisturbed, BEGIN_MS);
  const expected = await stateOf(undisturbed);
  const model = WORLDS.flatMap(({ records, settings }) => modelUsage(records, settings));
  expect(expected['usage']).toEqual(usageLines(model));

  const random = new Random(SEED);
  const hits: string[] = [];
  for (let run = 0; hits.length < KILLS; run++) {
    const directory = await prepare(`run-${run}`);
    hits.push(...(await killedRun(directory, random, whole, Math.min(KILLS_PER_RUN, KILLS - hits.length))));
    const found = stateDifferences(expected, await stateOf(directory));
    expect(found, `run ${run} of KILL_SEED=${SEED}, killed at ${hits.join(', ')}`).toEqual([]);
    await rm(directory, { recursive: true });
  }
  const counts = [...Map.groupBy(hits, (hit) => hit)].map(([hit, all]) => `  ${all.length} x ${hit}`);
  console.log(
    `${hits.length} kills (> during, < after), undisturbed ${whole.upMs} ms:\n${counts.sort().join('\n')}`,
  );
  expect(new Set(hits).size, 'kills that hit different steps').toBeGreaterThan(KILLS / 4);
}, 900_000);
