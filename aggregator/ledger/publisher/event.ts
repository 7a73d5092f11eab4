/**
 * An entry of the ledger as an event: CloudEvents 1.0, JSON, structured mode (the whole event is the value of
 * the record). PURE. The event's id is the entry's, so what is published twice is told by it; the key is the
 * tenant, so a tenant's events stay in the order of the ledger.
 *
 * A type ends in the version of its `data`. Members may be added to a version; a meaning never changes.
 */
import { z } from 'zod';
import type { LogAppend } from '../../../core/eventlog/sample-log.ts';
import { publicEntry, publicEntrySchema, type PublicEntry, type StoredEntry } from '../public-entry.ts';

const CONTENT_TYPE = 'application/cloudevents+json';

const EVENT_TYPES = [
  'cloud.gh0st.metering.usage.settled.v1',
  'cloud.gh0st.metering.correction.provisional.v1',
  'cloud.gh0st.metering.correction.fixed.v1',
  'cloud.gh0st.metering.coverage.settled.v1',
  'cloud.gh0st.metering.period.opened.v1',
  'cloud.gh0st.metering.period.settling.v1',
  'cloud.gh0st.metering.period.closed.v1',
  'cloud.gh0st.metering.quota.breached.v1',
  'cloud.gh0st.metering.tenant.erased.v1',
] as const;

type EventType = (typeof EVENT_TYPES)[number];

export const ledgerEventSchema = z.strictObject({
  specversion: z.literal('1.0'),
  /** Of the entry: with `source` it names the event. */
  id: z.string().regex(/^[0-9a-f]{32}$/),
  /** The installation whose ledger it is, as its settings name it. */
  source: z.string().min(1),
  type: z.enum(EVENT_TYPES),
  /** The tenant; of coverage the cluster, of a period its name. */
  subject: z.string().min(1),
  /** When the entry was written. */
  time: z.iso.datetime(),
  datacontenttype: z.literal('application/json'),
  data: publicEntrySchema,
});

export type LedgerEvent = Readonly<z.output<typeof ledgerEventSchema>>;

export function ledgerEvent(entry: StoredEntry, source: string): LedgerEvent {
  const data = publicEntry(entry);
  const { id, writtenAt: time } = data;
  return {
    ...{ specversion: '1.0', id, source, type: typeOf(data), subject: subjectOf(data), time },
    ...{ datacontenttype: 'application/json', data },
  };
}

/** What belongs to no tenant (coverage, periods) has the empty key: it stays in order, too. */
export function eventRecord(
  entry: StoredEntry,
  to: { readonly topic: string; readonly source: string; readonly timestampMs: number },
): LogAppend {
  const { topic, source, timestampMs } = to;
  return {
    ...{ topic, timestampMs, key: Buffer.from(entry.tenant) },
    headers: { 'content-type': Buffer.from(CONTENT_TYPE) },
    value: Buffer.from(JSON.stringify(ledgerEvent(entry, source))),
  };
}

function typeOf(data: PublicEntry): EventType {
  switch (data.kind) {
    case 'usage':
      return 'cloud.gh0st.metering.usage.settled.v1';
    case 'correction':
      return data.final
        ? 'cloud.gh0st.metering.correction.fixed.v1'
        : 'cloud.gh0st.metering.correction.provisional.v1';
    case 'coverage':
      return 'cloud.gh0st.metering.coverage.settled.v1';
    case 'period':
      return PERIOD_TYPES[data.state];
    case 'breach':
      return 'cloud.gh0st.metering.quota.breached.v1';
    case 'erasure':
      return 'cloud.gh0st.metering.tenant.erased.v1';
  }
}

const PERIOD_TYPES = {
  open: 'cloud.gh0st.metering.period.opened.v1',
  settling: 'cloud.gh0st.metering.period.settling.v1',
  closed: 'cloud.gh0st.metering.period.closed.v1',
} as const;

function subjectOf(data: PublicEntry): string {
  switch (data.kind) {
    case 'usage':
    case 'correction':
    case 'breach':
    case 'erasure':
      return data.tenant;
    case 'coverage':
      return data.cluster;
    case 'period':
      return data.period;
  }
}
