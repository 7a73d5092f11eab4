/**
 * Two million samples while every process is killed ten times.
 *
 *   npm run test:chaos                                          some minutes
 *   CHAOS_SAMPLES=200000 CHAOS_KILLS=3 npm run test:chaos       a part of it
 *   CHAOS_SEED=7 npm run test:chaos                             kills at other moments, other samples
 *
 * Ends with 1 unless usage is what was sent and what an undisturbed replay gives, and the journal has no hole.
 */
import { SystemClock } from '../../core/runtime/clock.ts';
import { chaosRun, type ChaosReport } from './chaos-run.ts';
import { exitOnSignals, grouped, machine, row, sayer, setting } from './program.ts';

const NODES = 8;
const PODS_PER_NODE = 100;

const SAMPLES = 2_000_000;
const KILLS = 10;
const AGGREGATORS = 1;

async function main(): Promise<number> {
  exitOnSignals();
  const say = sayer();
  say(machine());
  const report = await chaosRun(
    {
      ...{ nodes: NODES, podsPerNode: PODS_PER_NODE, nowMs: new SystemClock().now() },
      samples: setting('CHAOS_SAMPLES', SAMPLES),
      kills: setting('CHAOS_KILLS', KILLS),
      aggregators: setting('CHAOS_AGGREGATORS', AGGREGATORS),
      seed: setting('CHAOS_SEED', 1),
    },
    say,
  );
  for (const line of lines(report)) say(line);
  return report.problems.length === 0 ? 0 : 1;
}

function lines(report: ChaosReport): readonly string[] {
  const { journal, requests, samples, kills, ownEnds, sentMs, settledMs } = report;
  const killed = Object.entries(kills).map(([name, times]) => `${name} ${times}`);
  return [
    row('samples', `${grouped(samples)}, in ${grouped(Number(journal.records))} records of the topic`),
    row('killed', killed.join(', ')),
    row('ended by themselves', `${ownEnds.length}, and were started again by their orchestrator`),
    ...[...new Set(ownEnds)].map((end) => row('', end)),
    row(
      'sent',
      `in ${grouped(sentMs / 1000)} s, kills included; usage complete ${grouped(settledMs / 1000)} s later`,
    ),
    row(
      'requests',
      `${grouped(requests.all)}, of which ${grouped(requests.failed)} were not answered with 2xx`,
    ),
    row(
      'journal',
      `${grouped(journal.rows)} rows, ${grouped(journal.repeated)} of them in part of what was told before`,
    ),
    row('usage', `${grouped(report.usageRows)} rows`),
    ...(report.problems.length === 0 ? ['usage identical, journal contiguous'] : report.problems),
  ];
}

process.exitCode = await main();
