import { PLATFORM_NAMESPACE } from './inventory.ts';
import { type Source, type Stretch, totalIn } from './source.ts';
import { beginWorld } from './story.ts';
import { type WorldConfig, type WorldObserver } from './world.ts';

export const PLATFORM_TENANT = 'platform';
export const NO_TENANT = 'unattributed';

/** A row of usage: what one namespace used for one tenant in one hour (its first ms, UTC). */
export interface UsageKey {
  readonly hourMs: number;
  readonly tenant: string;
  readonly namespace: string;
  readonly meter: Source['meter'];
}

/** Part of a time in one hour under one owner. */
export interface Piece {
  readonly fromMs: number;
  readonly toMs: number;
  readonly hourMs: number;
  readonly tenant: string;
}

export interface Ownership {
  readonly fromMs: number;
  readonly tenant: string;
}

const HOUR_MS = 3_600_000;

/** One source with all its levels in a window, so that its total is known at every moment of it. */
export class SourceHistory {
  readonly source: Source;
  endedMs: number | null = null;
  /** Moments at which one of several reporters fell silent. */
  readonly interruptions: number[] = [];
  readonly #stretches: Stretch[];

  constructor(source: Source) {
    this.source = source;
    this.#stretches = [source.stretch];
  }

  get stretches(): readonly Stretch[] {
    return this.#stretches;
  }

  /** Notes the newest level; what ended before `keepMs` is let go. */
  note(keepMs: number): void {
    this.#stretches.push(this.source.stretch);
    while ((this.#stretches[1]?.fromMs ?? Infinity) <= keepMs) this.#stretches.shift();
  }

  /** Exactly what was used in [fromMs, toMs); nothing before birth. */
  usage(fromMs: number, toMs: number): bigint {
    const begin = Math.max(fromMs, this.source.bornMs);
    return toMs <= begin ? 0n : this.#total(toMs) - this.#total(begin);
  }

  /** The least and the greatest level in [fromMs, toMs], 0 outside its life. */
  range(fromMs: number, toMs: number): { readonly least: bigint; readonly most: bigint } {
    let least = fromMs < this.source.bornMs ? 0n : null;
    let most = 0n;
    this.#stretches.forEach(({ fromMs: begin, level }, index) => {
      const end = this.#stretches[index + 1]?.fromMs ?? Infinity;
      if (begin > toMs || end < fromMs) return;
      if (least === null || level < least) least = level;
      if (level > most) most = level;
    });
    return { least: least ?? 0n, most };
  }

  #total(t: number): bigint {
    let found = this.#stretches[0];
    for (const stretch of this.#stretches) if (stretch.fromMs <= t) found = stretch;
    return found === undefined ? 0n : totalIn(found, this.source.per, t);
  }
}

/** An exporter counted nothing on [stoppedMs, startedMs). */
export interface Restart {
  readonly node: string;
  readonly stoppedMs: number;
  readonly startedMs: number;
}

/**
 * What happened in a window, for truth and for what of it can be seen. It is found by letting the same world
 * happen once more from its first moment: nothing has to be kept while the simulator runs, however long.
 */
export class Timeline implements WorldObserver {
  readonly restarts: Restart[] = [];
  readonly #keepMs: number;
  readonly #histories = new Map<Source, SourceHistory>();
  readonly #owners = new Map<string, Ownership[]>();

  private constructor(keepMs: number) {
    this.#keepMs = keepMs;
  }

  /** Everything that touches [fromMs, toMs). */
  static of(config: WorldConfig, fromMs: number, toMs: number): Timeline {
    const timeline = new Timeline(fromMs);
    beginWorld(config, timeline).advance(toMs);
    return timeline;
  }

  histories(): Iterable<SourceHistory> {
    return this.#histories.values();
  }

  ownership(namespace: string): readonly Ownership[] {
    return this.#owners.get(namespace) ?? [];
  }

  ownerAt(namespace: string, t: number): string {
    const owners = this.ownership(namespace);
    return (owners.findLast(({ fromMs }) => fromMs <= t) ?? owners[0])?.tenant ?? NO_TENANT;
  }

  /** [fromMs, toMs) cut at every hour, every change of owner, and at `cuts`. */
  *pieces(namespace: string, fromMs: number, toMs: number, cuts: readonly number[] = []): Iterable<Piece> {
    const changes = [...this.ownership(namespace).map((owner) => owner.fromMs), ...cuts];
    for (let begin = fromMs; begin < toMs;) {
      const hourMs = hourOf(begin);
      let end = Math.min(toMs, hourMs + HOUR_MS);
      for (const change of changes) if (change > begin && change < end) end = change;
      yield { fromMs: begin, toMs: end, hourMs, tenant: this.ownerAt(namespace, begin) };
      begin = end;
    }
  }

  opened(source: Source): void {
    this.#histories.set(source, new SourceHistory(source));
  }

  changed(source: Source): void {
    this.#histories.get(source)?.note(this.#keepMs);
  }

  closed(source: Source, t: number): void {
    const history = this.#histories.get(source);
    if (history === undefined) return;
    history.endedMs = t;
    history.note(this.#keepMs);
    if (t <= this.#keepMs) this.#histories.delete(source);
  }

  owned(namespace: string, tenant: string | null, t: number): void {
    const owner = namespace === PLATFORM_NAMESPACE ? PLATFORM_TENANT : (tenant ?? NO_TENANT);
    const owners = this.#owners.get(namespace) ?? [];
    this.#owners.set(namespace, [...owners, { fromMs: t, tenant: owner }]);
  }

  restarted(node: string, stoppedMs: number, startedMs: number): void {
    if (startedMs >= this.#keepMs) this.restarts.push({ node, stoppedMs, startedMs });
  }

  interrupted(source: Source, t: number): void {
    this.#histories.get(source)?.interruptions.push(t);
  }
}

export function hourOf(t: number): number {
  return Math.floor(t / HOUR_MS) * HOUR_MS;
}

/** Sums by row. */
export class UsageSums {
  readonly #sums = new Map<string, { readonly key: UsageKey; amount: bigint }>();

  add(key: UsageKey, amount: bigint): void {
    const { hourMs, tenant, namespace, meter } = key;
    const id = `${hourMs}/${tenant}/${namespace}/${meter}`;
    const known = this.#sums.get(id);
    if (known === undefined) this.#sums.set(id, { key: { hourMs, tenant, namespace, meter }, amount });
    else known.amount += amount;
  }

  of({ hourMs, tenant, namespace, meter }: UsageKey): bigint {
    return this.#sums.get(`${hourMs}/${tenant}/${namespace}/${meter}`)?.amount ?? 0n;
  }

  /** By hour, tenant, namespace, meter. */
  entries(): { readonly key: UsageKey; readonly amount: bigint }[] {
    return [...this.#sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
  }
}
