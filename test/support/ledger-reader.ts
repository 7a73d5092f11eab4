/** Who bills from the topic of the ledger: reads it whole, takes every id once, and can be held against the ledger. */
import { publicEntry, type PublicEntry } from '../../aggregator/ledger/public-entry.ts';
import { ledgerEventSchema } from '../../aggregator/ledger/publisher/event.ts';
import { readEntriesAfter } from '../../aggregator/ledger/read-entries.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import type { LogRecord, SampleLog } from '../../core/eventlog/sample-log.ts';

export interface ReadLedger {
  readonly records: readonly LogRecord[];
  /** Each id once, as it came first, by the key of its record. */
  readonly byTenant: ReadonlyMap<string, readonly PublicEntry[]>;
}

let readers = 0;

/** Everything that is in the topic now; throws where a record is not an event as the schema has it. */
export async function readTopic(log: SampleLog, topic: string): Promise<ReadLedger> {
  const group = `biller-${process.pid}-${++readers}`;
  const left = new Map((await log.endPositions([topic])).map(({ partition, next }) => [partition, next]));
  const consumer = await log.consumer({ group, topics: [topic] });
  const records: LogRecord[] = [];
  try {
    for (const { partition, next } of await consumer.committed())
      if (next >= (left.get(partition) ?? 0n)) left.delete(partition);
    while (left.size > 0) {
      for (const record of await consumer.poll({ maxBytes: 4_000_000, waitMs: 1_000 })) {
        records.push(record);
        if (record.offset + 1n >= (left.get(record.partition) ?? 0n)) left.delete(record.partition);
      }
    }
  } finally {
    await consumer.close();
  }
  return { records, byTenant: onceByTenant(records) };
}

function onceByTenant(records: readonly LogRecord[]): Map<string, PublicEntry[]> {
  const byTenant = new Map<string, PublicEntry[]>();
  const taken = new Set<string>();
  for (const { key, headers, value } of records) {
    const type = Buffer.from(headers['content-type'] ?? []).toString();
    if (type !== 'application/cloudevents+json') throw new Error(`a record of type ${type}`);
    const event = ledgerEventSchema.parse(JSON.parse(Buffer.from(value).toString()));
    const tenant = Buffer.from(key ?? []).toString();
    const named = 'tenant' in event.data ? event.data.tenant : '';
    if (tenant !== named) throw new Error(`an entry of ${named} with the key ${tenant}`);
    if (taken.has(event.id)) continue;
    taken.add(event.id);
    byTenant.set(tenant, [...(byTenant.get(tenant) ?? []), event.data]);
  }
  return byTenant;
}

/** The same of the ledger itself. */
export async function ledgerByTenant(
  store: UsageStore,
): Promise<ReadonlyMap<string, readonly PublicEntry[]>> {
  const entries = await readEntriesAfter(store, { after: 0n, limit: 4_000_000_000 });
  const byTenant = new Map<string, PublicEntry[]>();
  for (const { tenant, ...entry } of entries)
    byTenant.set(tenant, [...(byTenant.get(tenant) ?? []), publicEntry({ tenant, ...entry })]);
  return byTenant;
}
