/** The short form of `npm run test:faults`: what kills nothing, one fault at a time, and all is normal again. */
import { describe, expect, test } from 'vitest';
import { QUIET_FAULTS } from '../chaos/faults.ts';
import { faultsRun, NORMAL_WITHIN_MS } from '../chaos/faults-run.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { now } from './program.ts';

const missing = missingForKafka();

describe.skipIf(missing !== undefined)(`over a broker${missing === undefined ? '' : `: ${missing}`}`, () => {
  test('broker, store and the writer of the ledger freeze: all is normal again without a person', async () => {
    const told: string[] = [];
    const plan = { faults: QUIET_FAULTS, nowMs: now(), giveUpMs: NORMAL_WITHIN_MS };
    const report = await faultsRun(plan, (line) => told.push(line));
    expect(report.problems, told.join('\n')).toEqual([]);
    expect(report.faults.map(({ name }) => name)).toEqual(QUIET_FAULTS.map(({ name }) => name));
    expect(report.faults.flatMap(({ ownEnds }) => ownEnds)).toEqual([]);
    expect(report.usageRows).toBeGreaterThan(100);
    expect(report.ledgerEntries).toBeGreaterThan(0);
  }, 300_000);
});
