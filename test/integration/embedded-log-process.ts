import { writeSync } from 'node:fs';

import { EmbeddedLog, embeddedLogSchema } from '../../core/eventlog/embedded.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { Telemetry } from '../../core/runtime/telemetry.ts';

/**
 * A process to be killed: appends, consumes, commits and trims until it dies, and writes to standard
 * output what it was promised, one line each and not before: `append <offset>` and `commit <next>`.
 * The value of a record starts with its own offset, so a reader can tell a lost or a strange record.
 */
const TOPIC = 'usage.killed';
const APPENDERS = 4;

const [directory = ''] = process.argv.slice(2);
const clock = new SystemClock();
const facts = new Telemetry({ format: 'json', level: 'error' }, { clock, output: process.stderr });
const retention = { maxAgeMs: 0, minAgeMs: 0, maxBytes: 1_000_000, hardMaxBytes: 100_000_000 };
const log = new EmbeddedLog(embeddedLogSchema.parse({ directory, partitions: 1, retention }), {
  clock,
  facts,
});
const consumer = await log.consumer({ group: 'aggregator', topics: [TOPIC] });
let next = Number((await log.endPositions([TOPIC]))[0]?.next ?? 0n);

function tell(line: string): void {
  writeSync(1, `${line}\n`);
}

async function append(): Promise<never> {
  for (;;) {
    const offset = next++;
    const value = Buffer.alloc(8 + ((offset * 7919) % 60_000), offset % 251);
    value.writeBigUInt64LE(BigInt(offset));
    await log.append([{ topic: TOPIC, timestampMs: clock.now(), key: null, value }]);
    tell(`append ${offset}`);
  }
}

async function consume(): Promise<never> {
  for (;;) {
    const records = await consumer.poll({ maxBytes: 500_000, waitMs: 1000 });
    const last = records.at(-1);
    if (last === undefined) continue;
    await consumer.commit([{ topic: TOPIC, partition: 0, next: last.offset + 1n }]);
    tell(`commit ${last.offset + 1n}`);
  }
}

async function trim(): Promise<never> {
  for (;;) {
    await clock.sleep(5);
    await log.retain();
  }
}

await Promise.all([...Array.from({ length: APPENDERS }, append), consume(), trim()]);
