/** The ledger to a topic, over a real broker: whatever fails in between, who takes ids once has the ledger. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ledgerEventSchema } from '../../aggregator/ledger/publisher/event.ts';
import { LedgerPublisher } from '../../aggregator/ledger/publisher.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import type { KafkaLog } from '../../core/eventlog/kafka.ts';
import { EmbeddedLog, embeddedLogSchema } from '../../core/eventlog/embedded.ts';
import type { SampleLog } from '../../core/eventlog/sample-log.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import { AccountsBench } from '../support/accounts.ts';
import type { TestStore } from '../support/chdb.ts';
import { ClosedMonth } from '../support/closed-month.ts';
import { FaultyStore } from '../support/faulty-store.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { clock, kafkaLog, newName, ToldFacts } from '../support/kafka/kafka-log.ts';
import { ledgerByTenant, readTopic } from '../support/ledger-reader.ts';
import { openFastStore } from '../support/pipeline.ts';

const SOURCE = 'urn:test:metering';
/** Small, so that there are many steps to fail at. */
const ENTRIES_AT_ONCE = 250;

const missing = missingForKafka();
let broker: KafkaBroker;
let log: KafkaLog;
let opened: TestStore;
let facts: ToldFacts;
let topic: string;

type Append = Pick<SampleLog, 'append'>;

function publisher(store: UsageStore = opened.store, to: Append = log): LedgerPublisher {
  const config = { name: topic, source: SOURCE, entriesAtOnce: ENTRIES_AT_ONCE };
  return new LedgerPublisher(config, { store, log: to, clock, facts });
}

/** How many records it took. */
async function expectLedger(of: SampleLog = log): Promise<number> {
  const { records, byTenant } = await readTopic(of, topic);
  const expected = await ledgerByTenant(opened.store);
  expect(byTenant.get('acme')?.length).toBeGreaterThan(20);
  expect(byTenant).toEqual(expected);
  return records.length;
}

function lost(): MeteringError {
  return new MeteringError('METER_LOG_UNAVAILABLE', 'gone for a moment', { retryable: true });
}

/** Copies an entry to places from `seq` on, as a writer would that did not see what another wrote. */
async function written(seq: bigint, count: number, by: string): Promise<void> {
  await opened.store.command(
    `INSERT INTO ledger
     SELECT * EXCEPT (i)
       REPLACE ({seq:UInt64} + i AS seq, unhex(leftPad(hex({seq:UInt64} + i), 32, {by:String})) AS id)
     FROM (SELECT *, arrayJoin(range({count:UInt32})) AS i FROM ledger
       WHERE seq = (SELECT min(seq) FROM ledger WHERE kind = 'usage' AND tenant = 'acme'))`,
    { seq, count, by },
  );
}

describe.skipIf(missing !== undefined)(`to a broker${missing === undefined ? '' : `: ${missing}`}`, () => {
  let entries: number;
  beforeAll(async () => {
    broker = await KafkaBroker.start();
    log = kafkaLog(broker.address);
    opened = await openFastStore();
    await new ClosedMonth().playOn(new AccountsBench(opened.store, ['north', 'south']));
    const [row] = await opened.store.rows<{ n: string }>('SELECT count() AS n FROM ledger');
    entries = Number(row?.n);
  }, 120_000);
  afterAll(async () => {
    await log.close();
    await opened.dispose();
    await broker.stop();
  });
  beforeEach(async () => {
    facts = new ToldFacts();
    topic = newName('ledger');
    await log.ensureTopics([topic]);
  });

  test('every entry is one CloudEvent, in the order of its tenant, and nothing is said twice', async () => {
    await publisher().pass();
    await publisher().pass();
    expect(await expectLedger()).toBe(entries);
    const { records } = await readTopic(log, topic);
    const events = records.map(({ value }) =>
      ledgerEventSchema.parse(JSON.parse(Buffer.from(value).toString())),
    );
    expect(new Set(events.map(({ source }) => source))).toEqual(new Set([SOURCE]));
    const subjects = (type: string): Set<string> =>
      new Set(events.filter((event) => event.type.includes(type)).map(({ subject }) => subject));
    expect(subjects('usage.settled')).toEqual(new Set(['acme', 'globex', 'initech']));
    expect(subjects('coverage.settled')).toEqual(new Set(['north', 'south']));
    expect(subjects('period.closed')).toEqual(new Set(['2026-10']));
    expect(subjects('correction.provisional').size).toBeGreaterThan(0);
  });

  test('a process that dies at any step is followed by one that leaves nothing out', async () => {
    const dead = new Error('the process is gone');
    // In a file: a topic for each step takes no time there.
    const directory = await mkdtemp(join(tmpdir(), 'publisher-'));
    const file = new EmbeddedLog(embeddedLogSchema.parse({ directory, partitions: 2 }), { clock, facts });
    const steps = Math.ceil(entries / ENTRIES_AT_ONCE);
    expect(steps).toBeGreaterThan(3);
    for (const when of ['before', 'after'] as const) {
      for (const step of [1, 2, Math.ceil(steps / 2), steps]) {
        topic = newName('ledger');
        let [appends, positions] = [0, 0];
        const dying: Append = {
          append: async (events) => {
            if (++appends === step && when === 'before') throw dead;
            await file.append(events);
            if (appends === step) throw dead;
          },
        };
        await expect(publisher(opened.store, dying).pass()).rejects.toThrow(dead);
        const store = new FaultyStore(opened.store);
        store.plan = (operation) =>
          operation === 'insert ledger_position' && ++positions === 1 ? { when, error: dead } : undefined;
        await expect(publisher(store, file).pass()).rejects.toThrow(dead);
        await publisher(opened.store, file).pass();
        const repeated = (await expectLedger(file)) - entries;
        // What was appended and not noted comes again, and nothing else.
        expect(repeated).toBeLessThanOrEqual(2 * ENTRIES_AT_ONCE);
        if (when === 'after') expect(repeated).toBeGreaterThan(0);
      }
    }
    await file.close();
    await rm(directory, { recursive: true });
  }, 60_000);

  test('two that publish at once repeat each other and leave the order as it is', async () => {
    await Promise.all([publisher().pass(), publisher().pass(), publisher().pass()]);
    await publisher().pass();
    expect(await expectLedger()).toBeGreaterThan(entries);
  });

  test('entries that come to light below the position are published, with what follows them', async () => {
    await publisher().pass();
    const [row] = await opened.store.rows<{ head: string }>('SELECT max(seq) AS head FROM ledger');
    const head = BigInt(row?.head ?? 0);
    // Two writers gave out the places after `head` at once, and the longer stretch was seen first.
    await written(head + 1n, 60, 'a');
    await publisher().pass();
    await written(head + 1n, 10, 'b');
    await publisher().pass();
    expect(facts.of('ledgerPublishedAgain')).toMatchObject([{ topic, entries: 10n }]);
    const { byTenant } = await readTopic(log, topic);
    const ids = new Set([...byTenant.values()].flat().map(({ id }) => id));
    expect(ids.size).toBe(entries + 70);
    // Known by now: nothing is said a third time.
    await publisher().pass();
    expect(facts.of('ledgerPublishedAgain')).toHaveLength(1);
  });

  test('a store that shows less than was published is not published from', async () => {
    await publisher().pass();
    const { seq, since, entries: n } = (await positions())[0] ?? { seq: '0', since: '0', entries: '0' };
    await opened.store.insert('ledger_position', [{ topic, seq, since, entries: String(BigInt(n) + 1n) }]);
    await expect(publisher().pass()).rejects.toMatchObject({
      code: 'METER_STORE_UNAVAILABLE',
      retryable: true,
    });
  });

  test('a log that refuses is told, and what waits is counted', async () => {
    const stop = new AbortController();
    const refusing: Append = { append: () => Promise.reject(lost()) };
    const running = publisher(opened.store, refusing).run(stop.signal);
    while (facts.of('ledgerNotPublished').length < 2) await clock.sleep(20);
    stop.abort();
    await running;
    expect(facts.of('ledgerUnpublished').at(-1)?.entries).toBeGreaterThanOrEqual(entries);
    expect(await positions()).toEqual([]);
  });

  async function positions(): Promise<readonly { seq: string; since: string; entries: string }[]> {
    return await opened.store.rows(
      `SELECT toString(seq) AS seq, toString(since) AS since, toString(entries) AS entries FROM ledger_position
       WHERE topic = {topic:String} ORDER BY recorded_at DESC`,
      { topic },
    );
  }
});
