/**
 * Every single fault, one after the other, and how long until all is normal again without a person.
 *
 *   npm run test:faults                       some ten minutes
 *   FAULTS=frozen npm run test:faults         those with this word in their name
 *
 * Ends with 1 if after one of them it was not within the time, usage was not what was sent, or the journal has a
 * hole.
 */
import { SystemClock } from '../../core/runtime/clock.ts';
import { FAULTS } from './faults.ts';
import { faultsRun, NORMAL_WITHIN_MS, type FaultReport, type FaultsReport } from './faults-run.ts';
import { exitOnSignals, grouped, machine, row, sayer } from './program.ts';

/** What takes longer than it should is waited for, to say how long. */
const GIVE_UP_MS = 900_000;

async function main(): Promise<number> {
  exitOnSignals();
  const say = sayer();
  say(machine());
  const word = process.env['FAULTS'] ?? '';
  const faults = FAULTS.filter(({ name }) => name.includes(word));
  if (faults.length === 0) {
    process.stderr.write(`no fault is called ${word}: ${FAULTS.map(({ name }) => name).join(', ')}\n`);
    return 1;
  }
  const report = await faultsRun({ faults, nowMs: new SystemClock().now(), giveUpMs: GIVE_UP_MS }, say);
  for (const line of lines(report)) say(line);
  return report.problems.length === 0 ? 0 : 1;
}

function lines({ faults, problems, samples, usageRows, ledgerEntries }: FaultsReport): readonly string[] {
  const exact = `${grouped(samples)} samples, ${grouped(usageRows)} rows of usage, ${grouped(ledgerEntries)} entries`;
  return [
    '| fault | lasted | normal again after | requests sent again | roles that ended and were started again |',
    '| --- | --- | --- | --- | --- |',
    ...faults.map(cells),
    ...(problems.length === 0
      ? [row('normal after each', `within ${grouped(NORMAL_WITHIN_MS / 1000)} s; ${exact}, exact`)]
      : problems),
  ];
}

function cells({ name, lastedMs, normalMs, failedRequests, ownEnds }: FaultReport): string {
  const normal = normalMs === undefined ? 'never' : seconds(normalMs);
  return `| ${[name, seconds(lastedMs), normal, grouped(failedRequests), ownEnds.length].join(' | ')} |`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

process.exitCode = await main();
