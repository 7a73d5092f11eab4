/**
 * Between the scrapes and the log: a buffer in memory that is emptied in order.
 *
 * Input: the records of a scrape. Output: the same records, durable in the log. Guarantee: a record leaves
 * the buffer only when the log has it, or is reported as lost: no log can take it (METER_INPUT_UNREADABLE),
 * or it is still there when a stop has waited long enough. While the log is away, or refuses this process
 * (its login, its rights, its topic), the records wait and appends are tried again; once they are more than
 * the limit, `isFull` tells the scrapes to pause. A crash loses what is buffered; the counters of the next
 * scrape contain it, and the gap shows as missing `up`.
 */
import type { LogAppend, SampleLog } from '../../core/eventlog/sample-log.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import type { ScrapeTelemetry } from './telemetry.ts';

/** One append takes at most this much, so that one failure repeats little. */
const MAX_APPEND_BYTES = 4 * 1024 * 1024;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;

export interface OutboxConfig {
  readonly topic: string;
  readonly bufferBytes: number;
}

export interface OutboxDeps {
  readonly log: Pick<SampleLog, 'append'>;
  readonly clock: Clock;
  readonly telemetry: ScrapeTelemetry;
}

export class Outbox {
  private readonly config: OutboxConfig;
  private readonly deps: OutboxDeps;
  private readonly stopping = new AbortController();
  private readonly deadline = new AbortController();
  private queue: LogAppend[] = [];
  private bufferedBytes = 0;
  private retryMs = FIRST_RETRY_MS;
  /** After a refusal records go one by one, so that only the one that is refused is lost. */
  private isCautious = false;
  private wake: () => void = () => undefined;
  private done: Promise<void> | undefined;

  constructor(config: OutboxConfig, deps: OutboxDeps) {
    this.config = config;
    this.deps = deps;
  }

  get isFull(): boolean {
    return this.bufferedBytes >= this.config.bufferBytes;
  }

  start(): void {
    this.done = this.run();
  }

  add(records: readonly LogAppend[]): void {
    for (const record of records) {
      this.queue.push(record);
      this.bufferedBytes += record.value.length;
    }
    this.wake();
  }

  /** Waits for the log to take what is buffered, at most so long; reports what is left as lost. */
  async stop(drainTimeoutMs: number): Promise<void> {
    this.stopping.abort();
    this.wake();
    const drained = new AbortController();
    const emptied = (this.done ?? Promise.resolve()).finally(() => drained.abort());
    await Promise.race([emptied, this.deps.clock.sleep(drainTimeoutMs, drained.signal)]);
    this.deadline.abort();
    if (this.queue.length > 0)
      this.lose(this.queue.length, 'shutdown', `not taken within ${drainTimeoutMs} ms`);
  }

  private async run(): Promise<void> {
    while (!this.deadline.signal.aborted) {
      if (this.queue.length > 0) await this.appendNext();
      else if (this.stopping.signal.aborted) return;
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  private async appendNext(): Promise<void> {
    const { log, clock, telemetry } = this.deps;
    const records = this.nextRecords();
    const startedMs = clock.now();
    try {
      await log.append(records);
    } catch (error) {
      await this.failed(records, error);
      return;
    }
    if (this.deadline.signal.aborted) return;
    this.retryMs = FIRST_RETRY_MS;
    this.isCautious = false;
    const bytes = this.remove(records.length);
    const durationMs = clock.now() - startedMs;
    telemetry.recordsAppended({ topic: this.config.topic, records: records.length, bytes, durationMs });
  }

  private nextRecords(): readonly LogAppend[] {
    if (this.isCautious) return this.queue.slice(0, 1);
    let bytes = 0;
    const end = this.queue.findIndex(
      ({ value }, index) => (bytes += value.length) > MAX_APPEND_BYTES && index > 0,
    );
    return this.queue.slice(0, end === -1 ? undefined : end);
  }

  private async failed(records: readonly LogAppend[], error: unknown): Promise<void> {
    if (this.deadline.signal.aborted) return;
    const { topic } = this.config;
    const isRefused = error instanceof MeteringError && error.code === 'METER_INPUT_UNREADABLE';
    if (isRefused && records.length === 1) {
      this.lose(1, 'refused', error);
      return;
    }
    const { telemetry, clock } = this.deps;
    telemetry.appendFailed({ topic, records: records.length, bufferedBytes: this.bufferedBytes, error });
    if (isRefused) {
      this.isCautious = true;
      return;
    }
    const isStopping = this.stopping.signal.aborted;
    const signal = isStopping ? this.deadline.signal : this.stopping.signal;
    await clock.sleep(isStopping ? FIRST_RETRY_MS : this.retryMs, signal);
    this.retryMs = Math.min(this.retryMs * 2, LAST_RETRY_MS);
  }

  private lose(count: number, reason: 'refused' | 'shutdown', error: unknown): void {
    this.remove(count);
    this.deps.telemetry.recordsLost({ topic: this.config.topic, records: count, reason, error });
  }

  private remove(count: number): number {
    const removed = this.queue.splice(0, count);
    const bytes = removed.reduce((sum, { value }) => sum + value.length, 0);
    this.bufferedBytes -= bytes;
    return bytes;
  }
}
