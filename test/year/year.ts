/**
 * A simulated year: 3 clusters and 200 tenants, scraped every quarter of an hour, with everything that
 * happens to scrapes. It closes twelve months and is then replayed twice, from its records and decisions
 * alone, one replay in another order: the same statements to the byte, the same closes, corrections and
 * settled quantities.
 *
 *   npm run test:year                   the whole year
 *   YEAR_MONTHS=1 npm run test:year     its first month
 *
 * Ends with 1 if anything differs, if memory grows over the year, or if it all takes more than an hour.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { SystemClock } from '../../core/runtime/clock.ts';
import { differences } from './digest.ts';
import { liveYear, type LiveYear } from './live.ts';
import type { Cost, Memory } from './progress.ts';
import { YEAR, YearRecords, CLUSTERS, type YearPlan } from './records.ts';
import type { ReplayedYear, ReplayRequest } from './replayed.ts';

const MONTHS = 12;
const LIMIT_SECONDS = 3_600;

async function main(): Promise<number> {
  const clock = new SystemClock();
  const begin = clock.now();
  const months = Number(process.env['YEAR_MONTHS'] ?? MONTHS);
  if (!Number.isInteger(months) || months < 1 || months > MONTHS) {
    process.stderr.write(
      `YEAR_MONTHS is ${process.env['YEAR_MONTHS'] ?? ''}, but a year has 1 to ${MONTHS}\n`,
    );
    return 1;
  }
  const plan: YearPlan = { ...YEAR, months };
  say(machine());
  const { seriesCount } = new YearRecords(plan);
  say(`${CLUSTERS.length} clusters, ${plan.tenants} tenants, ${seriesCount} series, months: ${months}`);
  const directory = await ownDirectory();
  const year = await liveYear(plan, directory);
  report(year);
  const replays = await replaysOf(plan, { directory, decisions: year.decisions });
  const problems = replays.flatMap(({ name, result }) => {
    say(
      `${name}: ${costText(result.cost)}, ${memoryText(result.memory)}, store ${mib(result.storeBytes)} MiB`,
    );
    return differences(year.digest, result.digest).map((part) => `${name}: other ${part}`);
  });
  const wallSeconds = (clock.now() - begin) / 1000;
  if (year.digest.closes.length !== months) problems.push(`${year.digest.closes.length} closes`);
  // The first month has none, and in every later one a whole evening comes after its close.
  if (months > 1 && year.digest.corrections.count === 0)
    problems.push('no corrections, so they prove nothing');
  if (year.counts.unreconciled > 0) problems.push(`${year.counts.unreconciled} hours do not reconcile`);
  if (!year.memory.isFlat) problems.push('memory grows over the year');
  if (wallSeconds > LIMIT_SECONDS) problems.push(`it took more than ${LIMIT_SECONDS} s`);
  say(problems.length === 0 ? 'same bytes' : problems.join('\n'));
  say(`all of it in ${wallSeconds.toFixed(0)} s`);
  return problems.length === 0 ? 0 : 1;
}

function report({ digest, decisions, counts, cost, memory, storeBytes }: LiveYear): void {
  say(`year: ${costText(cost)}, ${memoryText(memory)}, store ${mib(storeBytes)} MiB`);
  say(
    `  ${grouped(counts.scrapes)} scrapes, ${grouped(counts.samples)} samples, ` +
      `${grouped(counts.rejected)} rejected, ${grouped(counts.units)} units rolled up, ` +
      `${grouped(counts.partitionsDropped)} partitions dropped`,
  );
  say(
    `  ${grouped(counts.ledgerEntries)} ledger entries, ${digest.closes.length} closes, ` +
      `${grouped(digest.statements.count)} statements, ${grouped(digest.corrections.count)} corrections, ` +
      `${grouped(digest.settled.count)} settled quantities, ${decisions.split('\n').length - 1} decisions`,
  );
  say(`  last close ${digest.closes.at(-1) ?? 'none'}`);
}

interface Replay {
  readonly name: string;
  readonly result: ReplayedYear;
}

/** Gigabytes lie there for an hour; they go however the process ends. */
async function ownDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'metering-year-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  return directory;
}

/** Both at once, each in a process: a store is one to a process, and there are two cores. */
async function replaysOf(plan: YearPlan, given: { directory: string; decisions: string }): Promise<Replay[]> {
  const { directory } = given;
  const decisionsFile = join(directory, 'decisions.jsonl');
  await writeFile(decisionsFile, given.decisions);
  const requests: readonly ReplayRequest[] = [
    { name: 'replay', plan, directory, decisionsFile, order: 'as logged' },
    { name: 'replay, shuffled', plan, directory, decisionsFile, order: 'shuffled' },
  ];
  const children = requests.map((request) => ({ name: request.name, child: started(request) }));
  const end = (): void => children.forEach(({ child }) => child.kill());
  process.once('exit', end);
  try {
    return await Promise.all(
      children.map(async ({ name, child }) => ({ name, result: await resultOf(child) })),
    );
  } finally {
    end();
  }
}

type Child = ChildProcessByStdio<null, Readable, null>;

function started(request: ReplayRequest): Child {
  const file = join(import.meta.dirname, 'replayed.ts');
  return spawn(process.execPath, [file, JSON.stringify(request)], { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function resultOf(child: Child): Promise<ReplayedYear> {
  const ended = once(child, 'close') as Promise<[number | null]>;
  const output = await text(child.stdout);
  const [code] = await ended;
  if (code !== 0) throw new Error(`a replay ended with ${code ?? 'a signal'}`);
  return JSON.parse(output) as ReplayedYear;
}

function costText({ wallSeconds, cpuSeconds }: Cost): string {
  return `${wallSeconds.toFixed(0)} s, ${cpuSeconds.toFixed(0)} CPU-s`;
}

function memoryText({ peakMib, firstQuarterMib, lastQuarterMib }: Memory): string {
  return `RSS ${peakMib} MiB at most, ${firstQuarterMib} in the first quarter, ${lastQuarterMib} in the last`;
}

function machine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown';
  const { version, platform, arch } = process;
  return `Node ${version}, ${availableParallelism()} cores (${model}), ${platform} ${arch}`;
}

function mib(bytes: number): string {
  return grouped(Math.round(bytes / 2 ** 20));
}

function grouped(value: number): string {
  return value.toLocaleString('en-US');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = await main();
