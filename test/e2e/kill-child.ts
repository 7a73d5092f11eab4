/**
 * The aggregator as a process that can be killed: the real log, the real store, the real role, on a data directory
 * prepared by the test. It ends by itself, and writes what it came to, once the log is consumed and every unit is rolled
 * up. Before and after every durable step it says which one, in a line that is written at once, so that whoever kills it
 * knows where it was hit.
 *
 * Its clock runs fast, so that a fraction of a second is what the program takes for the minutes in which a disk may not
 * have written yet; what a kill leaves behind does not depend on it.
 */
import { writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Aggregator } from '../../aggregator/aggregator.ts';
import { RollUp } from '../../aggregator/rollup/roll-up.ts';
import { ChdbStore } from '../../aggregator/store/clickhouse/chdb.ts';
import { migrate } from '../../aggregator/store/migrations.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { EmbeddedLog, embeddedLogSchema } from '../../core/eventlog/embedded.ts';
import type { LogConsumer, SampleLog } from '../../core/eventlog/sample-log.ts';
import { SettingsTimeline } from '../../core/metering/settings-timeline.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import { FastClock, nextTurn, SystemClock } from '../../core/runtime/clock.ts';
import { loadConfig } from '../../core/runtime/config.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { SCHEMA_DIRECTORY } from '../support/chdb.ts';
import { readState } from './state.ts';

export interface ChildConfig {
  readonly directory: string;
  readonly clusters: readonly string[];
  readonly settings: MeteringSettings;
  /** Time of the child's clock at its start, ms since the epoch, and how fast it runs. */
  readonly startMs: number;
  readonly speed: number;
  /** Small, so that the log makes many batches. */
  readonly maxBatchBytes: number;
}

export const RESULT_FILE = 'result.json';
const POLL_MS = 5;

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

async function marked<T>(step: string, work: () => Promise<T>): Promise<T> {
  say(`> ${step}`);
  const result = await work();
  say(`< ${step}`);
  return result;
}

function markedStore(store: UsageStore): UsageStore {
  return {
    rows: (sql, parameters, options) => marked('read', () => store.rows(sql, parameters, options)),
    rowBinary: (sql, parameters, options) => store.rowBinary(sql, parameters, options),
    command: (sql, parameters) =>
      marked(sql.trim().split(/\s+/, 2).join(' '), () => store.command(sql, parameters)),
    insert: (table, rows) =>
      rows.length === 0 ? Promise.resolve() : marked(`insert ${table}`, () => store.insert(table, rows)),
    insertBlock: (insert) => marked(`insert ${insert.table}`, () => store.insertBlock(insert)),
    close: () => store.close(),
  };
}

function markedLog(log: SampleLog, maxBytes: number): SampleLog {
  return {
    append: (records) => log.append(records),
    endPositions: (topics) => log.endPositions(topics),
    close: () => log.close(),
    consumer: async (options): Promise<LogConsumer> => {
      const consumer = await log.consumer(options);
      return {
        poll: (poll) => consumer.poll({ ...poll, maxBytes }),
        commit: (positions) => marked('commit', () => consumer.commit(positions)),
        seek: (positions) => marked('seek', () => consumer.seek(positions)),
        waiting: () => consumer.waiting(),
        committed: () => consumer.committed(),
        close: () => consumer.close(),
      };
    },
  };
}

/** True when every record is read, and read again where it had to be, and what it says is stored. */
async function isConsumed(aggregator: Aggregator): Promise<boolean> {
  const log = aggregator.checks().find(({ name }) => name === 'log');
  return (await log?.check())?.detail.startsWith('0 records ') ?? false;
}

async function main(config: ChildConfig): Promise<void> {
  const clock = new FastClock({ startMs: config.startMs, speed: config.speed });
  const facts: FactSink = { event: () => undefined };
  say('> open');
  const opened = await ChdbStore.open({ path: join(config.directory, 'store'), threads: 1, readers: 2 });
  const store = markedStore(opened);
  await migrate(store, { directory: SCHEMA_DIRECTORY });
  const directory = join(config.directory, 'log');
  const log = new EmbeddedLog(loadConfig(embeddedLogSchema, { name: 'log', values: { directory } }), {
    clock,
    facts,
  });
  const { clusters, settings } = config;
  const aggregator = new Aggregator(
    {
      settings: new SettingsTimeline([{ validFrom: 0, settings }]),
      clusters,
      restartFile: join(config.directory, 'restart.json'),
    },
    {
      store,
      log: markedLog(log, config.maxBatchBytes),
      clock,
      facts,
      retain: () => log.retain(),
    },
  );
  await aggregator.start((error) => {
    process.stderr.write(
      `the role ended: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exit(1);
  });
  const real = new SystemClock();
  while (!(await isConsumed(aggregator))) await real.sleep(POLL_MS);
  say('> stop');
  await aggregator.stop();
  const rollUp = new RollUp({ settings }, { store, clock, facts });
  while ((await rollUp.pass()) > 0) await nextTurn();
  writeFileSync(join(config.directory, RESULT_FILE), JSON.stringify(await readState(opened)));
  await log.close();
  await opened.close();
}

if (process.argv[1] === import.meta.filename) await main(JSON.parse(process.argv[2] ?? '') as ChildConfig);
