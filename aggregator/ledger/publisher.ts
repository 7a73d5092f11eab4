/**
 * The ledger to a topic of the log. In: entries, in the order of their places. Out: one event each, appended
 * in that order. At least once, and nothing skipped: the position is recorded after the log has taken what
 * lies below it, so a crash between has entries appended again, under the same ids. Of events by id the first
 * ones stand in the topic in the order of the ledger, tenant by tenant, also where two processes publish at
 * once: each begins at or below what is published and leaves nothing out.
 *
 * Two writers of the ledger can give out the same places at once, and then entries come to light below the
 * position. They are found by counting, and published from before them on: repeats, never a hole.
 */
import type { SampleLog } from '../../core/eventlog/sample-log.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { FIRST_RETRY_MS, MAX_RETRY_MS } from '../../core/runtime/retry.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { eventRecord } from './publisher/event.ts';
import { countEntries, readPosition, recordPosition, type PublishedPosition } from './publisher/position.ts';
import { readEntriesAfter } from './read-entries.ts';

/** Some megabytes of events. */
const ENTRIES_AT_ONCE = 5_000;
/** How often the ledger is looked at. */
const LOOK_MS = 2_000;
/** How far back entries are looked for that came to light late: some times the largest insert. */
const LATE_PLACES = 200_000n;

export interface PublisherConfig {
  /** Of the topic. */
  readonly name: string;
  /** Of the events: the installation whose ledger it is. */
  readonly source: string;
  /** Entries of one append, and of one record of the position. */
  readonly entriesAtOnce?: number;
}

export interface PublisherDeps {
  readonly store: UsageStore;
  readonly log: Pick<SampleLog, 'append'>;
  readonly clock: Clock;
  readonly facts: FactSink;
  /** Where the store is shared: whether this process writes the ledger, and so publishes it. */
  readonly writer?: { holds(): Promise<boolean> } | undefined;
}

export class LedgerPublisher {
  readonly #config: PublisherConfig;
  readonly #deps: PublisherDeps;

  constructor(config: PublisherConfig, deps: PublisherDeps) {
    this.#config = config;
    this.#deps = deps;
  }

  /**
   * Publishes until the signal aborts. A log or a store that refuses is told and tried again, whatever the
   * reason: metering goes on without it, and what waits is in the ledger.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, facts } = this.#deps;
    const { name: topic } = this.#config;
    for (let failures = 0; !signal.aborted;) {
      try {
        await this.pass(signal);
        failures = 0;
      } catch (error) {
        if (!(error instanceof MeteringError)) throw error;
        facts.event('ledgerNotPublished', { topic, error });
        failures++;
      }
      const waitMs = failures === 0 ? LOOK_MS : Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
      await clock.sleep(waitMs, signal);
    }
  }

  /** Publishes what the ledger holds by now, or until the signal aborts. */
  async pass(signal?: AbortSignal): Promise<void> {
    const { store, writer } = this.#deps;
    if ((await writer?.holds()) === false) return;
    let position = await this.#checked(await readPosition(store, this.#config.name));
    while (signal?.aborted !== true) {
      const next = await this.#publishAfter(position);
      if (next === undefined) return;
      position = next;
    }
  }

  /** Where to go on: before what has come to light since. */
  async #checked(position: PublishedPosition): Promise<PublishedPosition> {
    const { store, facts } = this.#deps;
    const { name: topic } = this.#config;
    const { seq, since, entries } = position;
    const recent = seq - since > 2n * LATE_PLACES ? seq - LATE_PLACES : since;
    const found = await countEntries(store, { seq, since, recent });
    facts.event('ledgerUnpublished', { topic, entries: Number(found.ahead) });
    if (found.sinceThen === entries) return { seq, since: recent, entries: found.recently };
    if (found.sinceThen < entries) throw fewerThanPublished(topic, { entries, found: found.sinceThen });
    facts.event('ledgerPublishedAgain', { topic, from: since, to: seq, entries: found.sinceThen - entries });
    return { seq: since, since, entries: 0n };
  }

  async #publishAfter({ seq, since, entries }: PublishedPosition): Promise<PublishedPosition | undefined> {
    const { store, log, clock, facts } = this.#deps;
    const { name: topic, source, entriesAtOnce: limit = ENTRIES_AT_ONCE } = this.#config;
    const found = await readEntriesAfter(store, { after: seq, limit });
    const last = found.at(-1);
    if (last === undefined) return undefined;
    const timestampMs = clock.now();
    await log.append(found.map((entry) => eventRecord(entry, { topic, source, timestampMs })));
    const next = { seq: last.seq, since, entries: entries + BigInt(found.length) };
    await recordPosition(store, topic, next);
    facts.event('ledgerPublished', { topic, entries: found.length });
    return next;
  }
}

/** Going on would skip what the ledger holds at places that were published as something else. */
function fewerThanPublished(
  topic: string,
  { entries, found }: { entries: bigint; found: bigint },
): MeteringError {
  const what = `the store shows ${found} entries of the ledger where ${entries} were published to ${topic}`;
  const why = 'it lags behind, or is another one than it was: docs/runbooks/ledger-not-published.md';
  return new MeteringError('METER_STORE_UNAVAILABLE', `${what}; ${why}`, { retryable: true });
}
