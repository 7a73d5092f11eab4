/** The short form of `npm run test:chaos`: every process is killed while senders push, and usage is exact. */
import { describe, expect, test } from 'vitest';
import { chaosRun } from '../chaos/chaos-run.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { now } from './program.ts';

const missing = missingForKafka();
const KILLS = 2;

describe.skipIf(missing !== undefined)(`over a broker${missing === undefined ? '' : `: ${missing}`}`, () => {
  test('broker, store, collector and aggregator are killed twice: usage is what was sent', async () => {
    const told: string[] = [];
    const plan = { seed: 1, nodes: 4, podsPerNode: 50, samples: 100_000, kills: KILLS, aggregators: 1 };
    const report = await chaosRun({ ...plan, nowMs: now() }, (line) => told.push(line));
    expect(report.problems, told.join('\n')).toEqual([]);
    expect(Object.values(report.kills)).toEqual([KILLS, KILLS, KILLS, KILLS]);
    expect(report.samples).toBeGreaterThan(plan.samples);
    expect(report.usageRows).toBeGreaterThan(100);
    expect(report.requests.failed).toBeGreaterThan(0);
  }, 400_000);
});
