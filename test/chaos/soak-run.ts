/**
 * A steady stream into the pipeline as it is installed, an outage of Kafka, later one of the store. Scrapes
 * fall due by the clock whatever happens; senders make up for what they could not send.
 *
 * Caught up: no sender is behind by a whole step, and the group has committed all but the records of the last
 * seconds, for they arrive all the time.
 */
import { usageTopic } from '../../core/eventlog/usage-topic.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import type { Installation } from './installation.ts';
import { LagWatch } from './lag.ts';
import { Sender, type Lane } from './sender.ts';
import type { Traffic, WriteRequest } from './traffic.ts';
import { cpuSeconds, MemoryWatch, residentBytes, type MemoryReport } from './watch.ts';

export interface Outage {
  readonly of: 'Kafka' | 'store';
  readonly fromMs: number;
  readonly forMs: number;
}

export interface Recovery {
  readonly of: Outage['of'];
  readonly outageMs: number;
  /** Until lag was back to nothing; undefined: it was not, until the end. */
  readonly tookMs: number | undefined;
  /** Samples that were waiting at the senders, records in the topic, when it was over. */
  readonly waiting: { readonly samples: number; readonly records: number };
}

export interface SoakReport {
  readonly recoveries: readonly Recovery[];
  readonly memory: Readonly<Record<string, MemoryReport>>;
  readonly cpu: Readonly<Record<string, number>>;
  /** Of the aggregators, between outages: the most that lag was. */
  readonly mostLagRecords: number;
}

const LANES = 8;
const FORGET_EVERY = 1_000;
const LOOK_MS = 2_000;
const TELL_EVERY_LOOKS = 8;
/** Records of so long are under way at any time. */
const UNDER_WAY_MS = 5_000;
const MIB = 2 ** 20;
const clock = new SystemClock();

export interface SoakOptions {
  readonly durationMs: number;
  readonly outages: readonly Outage[];
  readonly say: (line: string) => void;
}

/** What a lane has scraped and not sent, the oldest first. */
class Waiting {
  #requests: { readonly request: WriteRequest; readonly dueMs: number }[] = [];
  #taken = 0;
  #isOver = false;
  #added = Promise.withResolvers<undefined>();

  /** Of the one that is being sent; undefined: nothing waits. */
  get oldestDueMs(): number | undefined {
    return this.#requests[Math.max(0, this.#taken - 1)]?.dueMs;
  }

  add(request: WriteRequest, dueMs: number): void {
    this.#requests.push({ request, dueMs });
    this.#tell();
  }

  end(): void {
    this.#isOver = true;
    this.#tell();
  }

  /** The one before was sent. */
  async next(): Promise<WriteRequest | undefined> {
    for (;;) {
      const next = this.#requests[this.#taken];
      if (next !== undefined) {
        this.#taken++;
        this.#forget();
        return next.request;
      }
      this.#requests = [];
      this.#taken = 0;
      if (this.#isOver) return undefined;
      await this.#added.promise;
    }
  }

  #tell(): void {
    this.#added.resolve(undefined);
    this.#added = Promise.withResolvers();
  }

  /** Now and then, so that it costs nothing: those that were sent, but for the one under way. */
  #forget(): void {
    if (this.#taken < FORGET_EVERY) return;
    this.#requests.splice(0, this.#taken - 1);
    this.#taken = 1;
  }
}

export class Soak {
  readonly #installation: Installation;
  readonly #traffic: Traffic;
  readonly #options: SoakOptions;
  readonly #sender: Sender;
  readonly #lag: LagWatch;
  readonly #memory = new Map<string, MemoryWatch>();
  readonly #cpu = new Map<string, { pid: number; seconds: number; before: number }>();
  readonly #recoveries: Recovery[] = [];
  #state = '';
  #beganMs = 0;
  #mostLag = 0;
  readonly #waiting: Waiting[] = [];
  readonly #scraping: Promise<void>[] = [];

  constructor(installation: Installation, traffic: Traffic, options: SoakOptions) {
    const { receiver, broker, cluster } = installation.parts;
    this.#installation = installation;
    this.#traffic = traffic;
    this.#options = options;
    this.#sender = new Sender(receiver);
    this.#lag = new LagWatch(broker.address, { group: 'aggregator', topic: usageTopic(cluster) });
  }

  async run(): Promise<SoakReport> {
    this.#beganMs = this.#traffic.plan.startMs;
    const over = new AbortController();
    const failed = new AbortController();
    const lanes = this.#lanes(failed.signal);
    const sending = this.#sender.run(lanes, failed.signal).finally(() => failed.abort());
    const watching = this.#watch(over.signal);
    const disturbing = this.#disturb(failed.signal);
    try {
      await Promise.all([sending, disturbing, ...this.#scraping]);
    } finally {
      over.abort();
      failed.abort();
      await Promise.allSettled([watching, disturbing]);
      await this.#lag.close();
    }
    return {
      recoveries: this.#recoveries,
      memory: Object.fromEntries([...this.#memory].map(([name, watch]) => [name, watch.report()])),
      cpu: Object.fromEntries([...this.#cpu].map(([name, { seconds, before }]) => [name, before + seconds])),
      mostLagRecords: this.#mostLag,
    };
  }

  /**
   * Nodes are scraped one after the other within a step, as a real scraper spreads them, and whatever becomes
   * of the senders: what cannot be sent waits as it is, packed.
   */
  #lanes(signal: AbortSignal): readonly Lane[] {
    const { nodes, plan, owners } = this.#traffic;
    const spreadMs = plan.stepMs / nodes.length;
    const endMs = plan.startMs + this.#options.durationMs;
    return Array.from({ length: LANES }, (_, lane) => {
      const own = nodes.map((node, index) => ({ node, index })).filter(({ index }) => index % LANES === lane);
      const waiting = new Waiting();
      this.#waiting.push(waiting);
      const scrape = async (): Promise<void> => {
        for (let turn = 0; !signal.aborted; turn++) {
          const at = own[turn % own.length];
          if (at === undefined || at.node.dueMs >= endMs) break;
          const dueMs = at.node.dueMs + Math.floor(at.index * spreadMs);
          await clock.sleep(Math.max(0, dueMs - clock.now()), signal);
          if (lane === 0 && turn % own.length === 0) waiting.add(owners.next(), dueMs);
          waiting.add(at.node.next(), dueMs);
        }
        waiting.end();
      };
      this.#scraping.push(scrape());
      return { next: () => waiting.next() };
    });
  }

  /** By how much the sender that is furthest behind is late. */
  get #behindMs(): number {
    const nowMs = clock.now();
    return Math.max(0, ...this.#waiting.map(({ oldestDueMs }) => nowMs - (oldestDueMs ?? nowMs)));
  }

  async #disturb(signal: AbortSignal): Promise<void> {
    for (const outage of this.#options.outages) {
      await clock.sleep(this.#beganMs + outage.fromMs - clock.now(), signal);
      if (signal.aborted) return;
      const { broker, store } = this.#installation.parts;
      const part = outage.of === 'Kafka' ? broker : store;
      this.#say(`${outage.of} is killed, for ${outage.forMs / 1000} s`);
      this.#state = `${outage.of} away`;
      await part.kill();
      await clock.sleep(outage.forMs, signal);
      await part.restart();
      this.#recoveries.push(await this.#recovered(outage, signal));
      this.#state = '';
    }
  }

  async #recovered({ of, forMs }: Outage, signal: AbortSignal): Promise<Recovery> {
    const beganMs = clock.now();
    this.#state = `catching up after ${of}`;
    const records = (await this.#lag.records()) ?? 0;
    const samples = Math.round((this.#behindMs / this.#traffic.plan.stepMs) * this.#traffic.seriesCount);
    this.#say(`${of} is back: ${samples} samples wait at the senders, ${records} records in the topic`);
    const waiting = { samples, records };
    while (!signal.aborted) {
      if (await this.#isCaughtUp()) {
        const tookMs = clock.now() - beganMs;
        this.#say(`caught up after ${Math.round(tookMs / 1000)} s`);
        return { of, outageMs: forMs, tookMs, waiting };
      }
      await clock.sleep(500, signal);
    }
    return { of, outageMs: forMs, tookMs: undefined, waiting };
  }

  async #isCaughtUp(): Promise<boolean> {
    const { stepMs, nodes } = this.#traffic.plan;
    if (this.#behindMs > stepMs) return false;
    const records = await this.#lag.records();
    return records !== undefined && records <= (nodes * UNDER_WAY_MS) / stepMs;
  }

  async #watch(signal: AbortSignal): Promise<void> {
    for (let look = 1; !signal.aborted; look++) {
      for (const [name, pid] of this.#pids()) {
        const watch = this.#memory.get(name) ?? new MemoryWatch();
        this.#memory.set(name, watch);
        watch.note(residentBytes(pid));
        this.#noteCpu(name, pid);
      }
      const lag = await this.#lag.records();
      if (this.#state === '') this.#mostLag = Math.max(this.#mostLag, lag ?? 0);
      if (look % TELL_EVERY_LOOKS === 0) this.#tell(lag);
      await clock.sleep(LOOK_MS, signal);
    }
  }

  #pids(): readonly (readonly [string, number])[] {
    const { broker, store, collector, aggregators } = this.#installation.parts;
    const roles = [collector, ...aggregators].map(({ name, pid }) => [name, pid] as const);
    return [...roles, ['store', store.pid], ['broker', broker.pid], ['senders', process.pid]];
  }

  /** A process that came in place of another begins at nothing. */
  #noteCpu(name: string, pid: number): void {
    const last = this.#cpu.get(name) ?? { pid, seconds: 0, before: 0 };
    const before = last.pid === pid ? last.before : last.before + last.seconds;
    const seconds = cpuSeconds(pid);
    this.#cpu.set(name, { pid, seconds: Math.max(seconds, last.pid === pid ? last.seconds : 0), before });
  }

  #tell(lag: number | undefined): void {
    const memory = this.#pids().map(
      ([name, pid]) => `${name} ${Math.round((residentBytes(pid) ?? 0) / MIB)}`,
    );
    const rate = this.#sender.acknowledged / Math.max(1, (clock.now() - this.#beganMs) / 1000);
    this.#say(
      `${this.#sender.acknowledged} samples taken (${Math.round(rate)} /s), senders ` +
        `${(this.#behindMs / 1000).toFixed(1)} s behind, lag ${lag ?? '?'} records; MiB: ${memory.join(', ')}` +
        (this.#state === '' ? '' : `; ${this.#state}`),
    );
  }

  #say(line: string): void {
    this.#options.say(line);
  }
}
