/**
 * Pulls metrics from a cluster's targets into the log, for where no Alloy does it.
 *
 * Input: targets to scrape. Output: records on `usage.<cluster>` as Alloy writes them. Guarantee: what was
 * scraped is appended in order and reported if it cannot be; targets never wait for each other; a reload
 * touches only the targets it changes, and a target that is taken out ends its series with markers. A stop
 * aborts the scrapes under way, waits for the log within its limit and writes no markers.
 */
import type { SampleLog } from '../../core/eventlog/sample-log.ts';
import { usageTopic } from '../../core/eventlog/usage-topic.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { invariant } from '../../core/runtime/errors.ts';
import type { ScrapeConfig, ScrapeTarget } from './config.ts';
import { Outbox } from './outbox.ts';
import { targetId } from './target.ts';
import { TargetLoop, type TargetMemory } from './target-loop.ts';
import type { ScrapeTelemetry } from './telemetry.ts';

export interface ScrapeCollectorDeps {
  readonly log: Pick<SampleLog, 'append'>;
  readonly clock: Clock;
  readonly telemetry: ScrapeTelemetry;
}

export class ScrapeCollector {
  private readonly config: ScrapeConfig;
  private readonly deps: ScrapeCollectorDeps;
  private readonly topic: string;
  private readonly outbox: Outbox;
  private readonly loops = new Map<string, TargetLoop>();
  private changing: Promise<void> = Promise.resolve();
  private state: 'new' | 'running' | 'stopped' = 'new';

  constructor(config: ScrapeConfig, deps: ScrapeCollectorDeps) {
    this.config = config;
    this.deps = deps;
    this.topic = usageTopic(config.cluster);
    this.outbox = new Outbox({ topic: this.topic, bufferBytes: config.bufferBytes }, deps);
  }

  async start(): Promise<void> {
    invariant(this.state === 'new', 'a scrape collector starts once');
    this.state = 'running';
    this.outbox.start();
    await this.reload(this.config.targets);
  }

  /** Makes these the targets; resolves when the former ones that are not among them are quiet. */
  async reload(targets: readonly ScrapeTarget[]): Promise<void> {
    invariant(this.state === 'running', 'targets change while the collector runs');
    const wanted = new Map(targets.map((target) => [targetId(target), target]));
    invariant(wanted.size === targets.length, 'one target per job and instance');
    this.changing = this.changing.then(() => this.change(wanted));
    await this.changing;
  }

  async stop(): Promise<void> {
    if (this.state !== 'running') return;
    this.state = 'stopped';
    await this.changing;
    await Promise.all([...this.loops.values()].map((loop) => loop.stop()));
    this.loops.clear();
    await this.outbox.stop(this.config.drainTimeoutMs);
  }

  private async change(wanted: ReadonlyMap<string, ScrapeTarget>): Promise<void> {
    const leaving = [...this.loops].filter(([id, loop]) => !isSame(loop.config.target, wanted.get(id)));
    await Promise.all(leaving.map(([, loop]) => loop.stop()));
    const memories = new Map<string, TargetMemory>();
    for (const [id, loop] of leaving) {
      this.loops.delete(id);
      if (wanted.has(id)) memories.set(id, loop.memory);
      else loop.end();
    }
    for (const [id, target] of wanted) {
      if (!this.loops.has(id)) this.loops.set(id, this.begin(target, memories.get(id)));
    }
  }

  private begin(target: ScrapeTarget, memory: TargetMemory | undefined): TargetLoop {
    const { cluster, scopeVersion } = this.config;
    const config = { cluster, topic: this.topic, scopeVersion, target };
    const loop = new TargetLoop(config, { ...this.deps, outbox: this.outbox }, memory);
    loop.start();
    return loop;
  }
}

function isSame(before: ScrapeTarget, after: ScrapeTarget | undefined): boolean {
  if (after?.bearerToken !== before.bearerToken) return false;
  return JSON.stringify(before) === JSON.stringify(after);
}
