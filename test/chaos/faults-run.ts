/**
 * Fault model: one fault at a time, then peace until all is normal again; nobody does anything but the
 * orchestrator, which starts what has ended. Senders push until a scrape that was made after the fault is
 * taken. Normal is: every role is ready, usage is exactly what was sent, and nothing waits in the topic.
 */
import { usageTopic } from '../../core/eventlog/usage-topic.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { ledgerFaults } from '../support/kept-promises.ts';
import type { Fault } from './faults.ts';
import { Flow } from './flow.ts';
import { Installation } from './installation.ts';
import { checkJournal, samplesStored } from './journal.ts';
import { LagWatch } from './lag.ts';
import { abnormalities } from './normal.ts';
import { Sender } from './sender.ts';
import { Traffic } from './traffic.ts';

export interface FaultsPlan {
  readonly faults: readonly Fault[];
  /** What the wall clock says: everything sent is of the day before. */
  readonly nowMs: number;
  /** A run goes on after a fault that took longer than it should, and gives up after so long. */
  readonly giveUpMs: number;
}

export interface FaultReport {
  readonly name: string;
  readonly lastedMs: number;
  /** From its end; undefined: it never was. */
  readonly normalMs: number | undefined;
  /** Requests that were not answered with 2xx meanwhile. */
  readonly failedRequests: number;
  /** What roles said that ended by themselves. */
  readonly ownEnds: readonly string[];
}

export interface FaultsReport {
  readonly faults: readonly FaultReport[];
  readonly problems: readonly string[];
  readonly samples: number;
  readonly usageRows: number;
  readonly ledgerEntries: number;
}

const CLUSTER = 'faults';
/** From the end of a fault until all is normal. */
export const NORMAL_WITHIN_MS = 60_000;
const BEFORE_MS = 2_000;
const LOOK_MS = 250;
const TRAFFIC = { cluster: CLUSTER, seed: 1, nodes: 4, podsPerNode: 25, stepMs: 30_000 };
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const COORDINATION = { leaseMs: 4_000, renewEveryMs: 1_000 };
const clock = new SystemClock();

export async function faultsRun(plan: FaultsPlan, say: (line: string) => void): Promise<FaultsReport> {
  const installation = await Installation.start({
    ...{ cluster: CLUSTER, aggregators: 2, isLinked: true, coordination: COORDINATION },
  });
  const run = new FaultsRun(installation, plan, say);
  let isStopped = false;
  try {
    const report = await run.all();
    isStopped = true;
    const statuses = await installation.stop();
    const unclean = statuses
      .filter((status) => status !== 0)
      .map((status) => `a role ended with ${String(status)}`);
    return { ...report, problems: [...report.problems, ...unclean] };
  } finally {
    await run.close();
    if (!isStopped) await installation.stop();
  }
}

class FaultsRun {
  readonly #installation: Installation;
  readonly #plan: FaultsPlan;
  readonly #say: (line: string) => void;
  readonly #traffic: Traffic;
  readonly #sender: Sender;
  readonly #lag: LagWatch;
  readonly #problems: string[] = [];

  constructor(installation: Installation, plan: FaultsPlan, say: (line: string) => void) {
    const { receiver, broker } = installation.parts;
    this.#installation = installation;
    this.#plan = plan;
    this.#say = say;
    const startMs = Math.floor((plan.nowMs - DAY_MS) / HOUR_MS) * HOUR_MS;
    this.#traffic = new Traffic({ ...TRAFFIC, startMs });
    this.#sender = new Sender(receiver);
    this.#lag = new LagWatch(broker.address, { group: 'aggregator', topic: usageTopic(CLUSTER) });
  }

  async all(): Promise<FaultsReport> {
    await this.#settled(new Flow(this.#traffic, this.#sender), { fromMs: clock.now() });
    this.#say('all is normal before the first fault');
    const faults: FaultReport[] = [];
    for (const fault of this.#plan.faults) {
      const report = await this.#one(fault);
      faults.push(report);
      if (report.normalMs === undefined) break;
    }
    return { faults, ...(await this.#check()) };
  }

  async close(): Promise<void> {
    await this.#lag.close();
  }

  async #one({ name, happen }: Fault): Promise<FaultReport> {
    const before = { failed: this.#sender.tries.failed, ends: this.#ownEnds.length };
    const flow = new Flow(this.#traffic, this.#sender);
    await clock.sleep(BEFORE_MS);
    const beganMs = clock.now();
    this.#say(`${name}: it begins`);
    await happen({ installation: this.#installation, lag: this.#lag });
    const overMs = clock.now();
    const missing = await this.#settled(flow, { fromMs: overMs });
    const normalMs = clock.now() - overMs;
    if (missing.length > 0) this.#problems.push(...missing.map((line) => `${name}: ${line}`));
    else if (normalMs > NORMAL_WITHIN_MS) this.#problems.push(`${name}: normal only after ${normalMs} ms`);
    const report = {
      ...{ name, lastedMs: overMs - beganMs, normalMs: missing.length === 0 ? normalMs : undefined },
      failedRequests: this.#sender.tries.failed - before.failed,
      ownEnds: this.#ownEnds.slice(before.ends),
    };
    this.#say(`${name}: ${JSON.stringify(report)}`);
    return report;
  }

  /** What is not normal when time is up. */
  async #settled(flow: Flow, { fromMs }: { readonly fromMs: number }): Promise<readonly string[]> {
    const endMs = fromMs + this.#plan.giveUpMs;
    if (!(await flow.finish(endMs - clock.now()))) return ['senders could not send what they had'];
    const seen = { installation: this.#installation, traffic: this.#traffic, lag: this.#lag };
    for (let isLate = false; ; isLate = clock.now() - fromMs > NORMAL_WITHIN_MS) {
      const missing = await abnormalities(seen);
      if (missing.length === 0 || clock.now() > endMs) return missing;
      if (isLate) this.#say(`not normal yet: ${missing.join('; ')}`);
      await clock.sleep(LOOK_MS);
    }
  }

  async #check(): Promise<Omit<FaultsReport, 'faults'>> {
    const { samples } = this.#traffic;
    const store = await this.#installation.openStore();
    try {
      const journal = await checkJournal(store, usageTopic(CLUSTER), await this.#installation.ends());
      const stored = await samplesStored(store, CLUSTER);
      const [row] = await store.rows<{ n: string }>('SELECT toString(count()) AS n FROM ledger');
      const problems = [
        ...this.#problems,
        ...journal.problems,
        ...(stored === samples ? [] : [`${stored} samples stored of ${samples}`]),
        ...(await ledgerFaults(store)),
      ];
      const usageRows = this.#traffic.usage().length;
      return { problems, samples, usageRows, ledgerEntries: Number(row?.n) };
    } finally {
      await store.close();
    }
  }

  get #ownEnds(): readonly string[] {
    return this.#installation.roles.flatMap((role) => role.ownEnds);
  }
}
