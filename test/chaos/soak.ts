/**
 * Half an hour at 20,000 samples a second on two cores, with Kafka away for five minutes and then the store:
 * memory stays flat and small, lag goes back to nothing, usage is exact.
 *
 *   npm run test:soak
 *   SOAK_MINUTES=3 npm run test:soak          outages are a sixth of it, five minutes at most
 *   SOAK_RATE=5000 npm run test:soak          on a machine that has other things to do
 *
 * Everything runs on this machine, senders included. Ends with 1 if a figure is missed.
 */
import { SystemClock } from '../../core/runtime/clock.ts';
import { completeUsage } from './complete-usage.ts';
import { Installation } from './installation.ts';
import { exitOnSignals, grouped, machine, row, sayer, setting } from './program.ts';
import { Soak, type Outage, type Recovery, type SoakReport } from './soak-run.ts';
import { SERIES_PER_POD, Traffic } from './traffic.ts';

const MINUTES = 30;
const RATE = 20_000;
const CLUSTER = 'soak';
const NODES = 100;
const STEP_MS = 5_000;
const MINUTE_MS = 60_000;
const LONGEST_OUTAGE_MS = 5 * MINUTE_MS;
const MAX_AGGREGATOR_MIB = 512;
const MAX_RECOVERY_MS = 120_000;

async function main(): Promise<number> {
  exitOnSignals();
  const say = sayer();
  const clock = new SystemClock();
  const durationMs = setting('SOAK_MINUTES', MINUTES) * MINUTE_MS;
  const podsPerNode = Math.ceil((setting('SOAK_RATE', RATE) * STEP_MS) / 1000 / NODES / SERIES_PER_POD);
  say(machine());
  const installation = await Installation.start({ cluster: CLUSTER, aggregators: 1 });
  try {
    await Promise.all(installation.roles.map((role) => role.address('OPS')));
    const startMs = Math.ceil(clock.now() / STEP_MS) * STEP_MS;
    const traffic = new Traffic({
      cluster: CLUSTER,
      seed: 1,
      nodes: NODES,
      podsPerNode,
      stepMs: STEP_MS,
      startMs,
    });
    const { seriesCount } = traffic;
    say(`${grouped(seriesCount)} series every ${STEP_MS / 1000} s, ${durationMs / MINUTE_MS} minutes`);
    const report = await new Soak(installation, traffic, {
      durationMs,
      outages: outagesOf(durationMs),
      say,
    }).run();
    const usage = await completeUsage(installation, traffic);
    const ownEnds = installation.roles.flatMap((role) => role.ownEnds);
    const misses = [...usage.problems, ...missesOf(report), ...ownEnds];
    for (const line of lines(report, { samples: traffic.samples, usageRows: usage.usage.length })) say(line);
    for (const line of misses.length === 0 ? ['every figure is met, usage is exact'] : misses) say(line);
    return misses.length === 0 ? 0 : 1;
  } finally {
    await installation.stop();
  }
}

/** Kafka in the first half, the store in the second, and time after each. */
function outagesOf(durationMs: number): readonly Outage[] {
  const forMs = Math.min(LONGEST_OUTAGE_MS, durationMs / 6);
  return [
    { of: 'Kafka', fromMs: durationMs / 6, forMs },
    { of: 'store', fromMs: durationMs * 0.55, forMs },
  ];
}

function missesOf({ memory, recoveries }: SoakReport): string[] {
  const misses: string[] = [];
  for (const [name, { peakMib, isFlat, quartersMib }] of Object.entries(memory)) {
    if (!name.startsWith('aggregator')) continue;
    if (peakMib >= MAX_AGGREGATOR_MIB)
      misses.push(`${name} had ${peakMib} MiB, not under ${MAX_AGGREGATOR_MIB}`);
    if (!isFlat) misses.push(`the memory of ${name} grows: ${quartersMib.join(', ')} MiB`);
  }
  for (const { of, tookMs } of recoveries) {
    if (tookMs === undefined) misses.push(`lag never went back to nothing after the outage of ${of}`);
    else if (tookMs > MAX_RECOVERY_MS)
      misses.push(
        `lag took ${grouped(tookMs / 1000)} s after the outage of ${of}, not ${MAX_RECOVERY_MS / 1000} s`,
      );
  }
  if (recoveries.length < 2) misses.push('there were not two outages');
  return misses;
}

function lines(
  report: SoakReport,
  { samples, usageRows }: { samples: number; usageRows: number },
): readonly string[] {
  return [
    row('samples', `${grouped(samples)}, usage in ${grouped(usageRows)} rows`),
    ...report.recoveries.map((recovery) => row(`outage of ${recovery.of}`, recoveryText(recovery))),
    row('lag without an outage', `${grouped(report.mostLagRecords)} records at most`),
    ...Object.entries(report.memory).map(([name, { peakMib, quartersMib }]) => {
      const cpu = grouped(report.cpu[name] ?? 0);
      return row(name, `${peakMib} MiB at most, by quarters ${quartersMib.join(', ')}; ${cpu} CPU-s`);
    }),
  ];
}

function recoveryText({ outageMs, tookMs, waiting }: Recovery): string {
  const waited = `${grouped(waiting.samples)} samples at the senders, ${grouped(waiting.records)} records in the topic`;
  const took = tookMs === undefined ? 'not caught up' : `caught up in ${grouped(tookMs / 1000)} s`;
  return `${grouped(outageMs / 1000)} s; then waited ${waited}; ${took}`;
}

process.exitCode = await main();
