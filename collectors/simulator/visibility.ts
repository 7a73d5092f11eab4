import { invariant } from '../../core/runtime/errors.ts';
import { RESTART_MS, SERIES_TTL_MS } from './exporter.ts';
import { HOUSEKEEPING_MS } from './node.ts';
import { type TrueMeter } from './source.ts';
import { type Piece, type SourceHistory, Timeline, type UsageKey, UsageSums } from './timeline.ts';
import { type WorldConfig } from './world.ts';

/** By how much what is metered may differ from the truth: truth - missing <= metered <= truth + excess. */
export interface UnseenUsage extends UsageKey {
  readonly missing: bigint;
  readonly excess: bigint;
}

/** How the cluster was watched. */
export interface Watch {
  /** Every target was scraped for the first time in [fromMs, fromMs + intervalMs] ... */
  readonly fromMs: number;
  /** ... and for the last time in [toMs - intervalMs, toMs], never more than this apart. */
  readonly toMs: number;
  readonly intervalMs: number;
  /** A page may be this much younger than the time its scrape is stamped with. */
  readonly latencyMs: number;
}

/** A gauge is held for at most this long, so a slower scrape misses usage all the time. */
const MAX_HOLD_MS = 300_000;
/** Container starts are shown in whole seconds, rounded down. */
const START_GRAIN_MS = 1_000;
const HOUR_MS = 3_600_000;

type Page = 'cadvisor' | 'kube-state' | 'kubelet' | 'beyla';

const SHOWN: Readonly<Record<TrueMeter, { readonly kind: 'counter' | 'gauge'; readonly page: Page }>> = {
  cpu: { kind: 'counter', page: 'cadvisor' },
  memory: { kind: 'gauge', page: 'cadvisor' },
  network_transmit: { kind: 'counter', page: 'cadvisor' },
  network_receive: { kind: 'counter', page: 'cadvisor' },
  egress: { kind: 'counter', page: 'beyla' },
  egress_internal: { kind: 'counter', page: 'beyla' },
  storage: { kind: 'gauge', page: 'kube-state' },
  storage_used: { kind: 'gauge', page: 'kubelet' },
  cpu_request: { kind: 'gauge', page: 'kube-state' },
  memory_request: { kind: 'gauge', page: 'kube-state' },
  http_requests: { kind: 'counter', page: 'beyla' },
};

/**
 * What samples cannot show, row by row. Let I be the interval, H the housekeeping of cAdvisor (0 elsewhere),
 * so that samples of a series are at most L = I + H apart:
 *
 * - Edges. The first sample comes up to I after the watch begins, the last up to L before it ends.
 * - Births. A counter that starts under watch is seen from 0 on. One that starts in the first interval, or
 *   before it, is a baseline. A gauge is seen up to L late.
 * - Ends. The tail of a series, up to L, is never shown (Beyla shows a pod's last value for minutes, so it
 *   has no tail). A gauge may also be held on until the scrape that misses it, up to I.
 * - Changes. A gauge's new level is seen up to L late. Between two samples a counter is exact in sum; where
 *   an hour or an owner cuts them, the share is linear: wrong by at most a quarter of L times the spread of
 *   the levels around the cut, so by nothing where the level is constant.
 * - Restarts of Beyla. What was counted since the last scrape, and what it slept through, is lost.
 * - Owners. A new label is seen up to I late.
 *
 * A pod of 200 core-ns per ms that lives through a whole watched hour at 30 s: at most 200 x (30,000 +
 * 40,000) core-ns missing of 720,000,000.
 */
export function unseenUsage(config: WorldConfig, watch: Watch): UnseenUsage[] {
  invariant(watch.intervalMs + HOUSEKEEPING_MS <= MAX_HOLD_MS, 'gauges are held from scrape to scrape');
  invariant(watch.intervalMs + RESTART_MS <= SERIES_TTL_MS, 'a last value is scraped before it is forgotten');
  const margin = 3 * (watch.intervalMs + HOUSEKEEPING_MS + START_GRAIN_MS + watch.latencyMs);
  const timeline = Timeline.of(config, watch.fromMs - margin, watch.toMs + margin);
  const bounds = new Bounds(timeline, watch);
  for (const history of timeline.histories()) bounds.addSource(history);
  return bounds.rows();
}

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

class Bounds {
  readonly #timeline: Timeline;
  readonly #watch: Watch;
  readonly #missing = new UsageSums();
  readonly #excess = new UsageSums();

  constructor(timeline: Timeline, watch: Watch) {
    this.#timeline = timeline;
    this.#watch = watch;
  }

  rows(): UnseenUsage[] {
    return this.#missing.entries().map(({ key, amount }) => ({
      ...key,
      missing: amount,
      excess: this.#excess.of(key),
    }));
  }

  addSource(history: SourceHistory): void {
    const { kind } = SHOWN[history.source.meter];
    this.#addBlindness(history);
    this.#addEdges(history);
    this.#addOwners(history);
    if (kind === 'gauge') this.#addChanges(history);
    else this.#addCuts(history);
  }

  /** Times of which no sample tells. */
  #addBlindness(history: SourceHistory): void {
    const { namespace } = history.source;
    for (const { fromMs, toMs } of merged(this.#blindSpans(history))) {
      for (const piece of this.#pieces(namespace, fromMs, toMs)) {
        this.#miss(history, piece, history.usage(piece.fromMs, piece.toMs));
      }
    }
  }

  #blindSpans(history: SourceHistory): Span[] {
    const { fromMs, toMs, intervalMs, latencyMs } = this.#watch;
    const { source, endedMs, interruptions } = history;
    const { page, kind } = SHOWN[source.meter];
    const gapMs = this.#gapMs(history);
    const seenMs = fromMs + intervalMs + latencyMs;
    const born = page === 'cadvisor' && source.bornMs <= seenMs + START_GRAIN_MS;
    const spans: Span[] = [
      { fromMs, toMs: born ? Math.max(seenMs, source.bornMs + gapMs) : seenMs },
      { fromMs: toMs - gapMs, toMs },
      ...interruptions.map((at) => ({ fromMs: at, toMs: at + 2 * intervalMs + latencyMs })),
    ];
    if (endedMs !== null && (page === 'cadvisor' || kind === 'gauge')) {
      spans.push({ fromMs: endedMs - gapMs, toMs: endedMs });
    }
    if (page === 'beyla') {
      for (const { node, stoppedMs, startedMs } of this.#timeline.restarts) {
        if (node === source.node) spans.push({ fromMs: stoppedMs - intervalMs, toMs: startedMs + latencyMs });
      }
    }
    return spans
      .map((span) => ({ fromMs: Math.max(span.fromMs, fromMs), toMs: Math.min(span.toMs, toMs) }))
      .filter((span) => span.fromMs < span.toMs);
  }

  /** What may be counted although it lies beyond an edge: before the first scrape, or after a stamp. */
  #addEdges(history: SourceHistory): void {
    const { fromMs, toMs, latencyMs } = this.#watch;
    const { namespace, node } = history.source;
    const lagMs = this.#lagMs(history);
    for (const piece of this.#pieces(namespace, fromMs - lagMs, fromMs)) {
      this.#exceed(history, piece, history.usage(piece.fromMs, piece.toMs));
    }
    if (lagMs > 0) return;
    const restarts = this.#timeline.restarts.filter((restart) => restart.node === node);
    for (const at of [toMs, ...restarts.map(({ startedMs }) => startedMs)]) {
      for (const piece of this.#pieces(namespace, at - 1, at)) {
        this.#exceed(history, piece, history.usage(at, at + latencyMs));
      }
    }
  }

  /**
   * Usage under an owner whose label may not have been seen yet, or was seen by a page younger than its
   * stamp.
   */
  #addOwners(history: SourceHistory): void {
    const { fromMs, toMs } = this.#watch;
    const { namespace } = history.source;
    for (const piece of this.#pieces(namespace, fromMs, toMs)) {
      if (this.#claimants(namespace, piece).length < 2) continue;
      const usage = history.usage(piece.fromMs, piece.toMs);
      this.#miss(history, piece, usage);
      for (const tenant of this.#claimants(namespace, piece)) {
        if (tenant !== piece.tenant) this.#excess.add(this.#key(history, { ...piece, tenant }), usage);
      }
    }
  }

  /** A gauge goes on at its old level until the next sample. */
  #addChanges(history: SourceHistory): void {
    const { fromMs, toMs, intervalMs, latencyMs } = this.#watch;
    const { source, endedMs } = history;
    const gapMs = this.#gapMs(history);
    for (const { atMs, delta } of changesOf(history)) {
      if (atMs < fromMs - gapMs || atMs >= toMs) continue;
      const last = endedMs !== null && endedMs - atMs <= gapMs;
      const untilMs = Math.min(toMs, last ? endedMs + intervalMs : atMs + gapMs) + latencyMs;
      for (const piece of this.#pieces(source.namespace, Math.max(atMs, fromMs), untilMs)) {
        const heldMs = BigInt(piece.toMs - piece.fromMs);
        if (delta > 0n) this.#miss(history, piece, delta * heldMs);
        else this.#exceed(history, piece, -delta * heldMs);
      }
      // A page that is younger than its stamp shows the new level too early.
      for (const piece of this.#pieces(source.namespace, atMs - latencyMs, atMs)) {
        const earlyMs = BigInt(piece.toMs - piece.fromMs);
        if (delta > 0n) this.#exceed(history, piece, delta * earlyMs);
        else this.#miss(history, piece, -delta * earlyMs);
      }
    }
  }

  /** A counter's usage between two samples is shared linearly where a boundary cuts it. */
  #addCuts(history: SourceHistory): void {
    const { intervalMs, latencyMs, fromMs, toMs } = this.#watch;
    const { namespace } = history.source;
    const first = Math.ceil(fromMs / HOUR_MS) * HOUR_MS;
    for (let hour = first; hour <= toMs; hour += HOUR_MS) this.#addCut(history, { fromMs: hour, toMs: hour });
    for (const { fromMs: at } of this.#timeline.ownership(namespace).slice(1)) {
      if (at < fromMs || at > toMs) continue;
      this.#addCut(history, { fromMs: at - latencyMs, toMs: at + intervalMs });
    }
  }

  /** The cut lies somewhere in `cut`; both sides of it may have the error. */
  #addCut(history: SourceHistory, cut: Span): void {
    const { latencyMs } = this.#watch;
    const { namespace, per } = history.source;
    const lagMs = this.#lagMs(history);
    const reachMs = this.#gapMs(history) + (lagMs > 0 ? START_GRAIN_MS : 0);
    const { least, most } = history.range(cut.fromMs - reachMs, cut.toMs + reachMs);
    if (most === 0n) return;
    const skew = lagMs > 0 ? 0n : most * BigInt(latencyMs);
    const error = ((most - least) * BigInt(reachMs)) / 4n + skew;
    // One unit for the floor of a share, one for the floor of a request counter.
    const amount = error / per + (error > 0n || per > 1n ? 2n : 0n);
    const sides = new Map<string, Piece>();
    for (const piece of this.#pieces(namespace, cut.fromMs - 1, cut.toMs + 1)) {
      for (const tenant of [piece.tenant, ...this.#claimants(namespace, piece)]) {
        sides.set(`${piece.hourMs}/${tenant}`, { ...piece, tenant });
      }
    }
    for (const side of sides.values()) {
      this.#missing.add(this.#key(history, side), amount);
      this.#excess.add(this.#key(history, side), amount);
    }
  }

  /** How much older than its scrape a sample may be. */
  #lagMs({ source }: SourceHistory): number {
    return SHOWN[source.meter].page === 'cadvisor' ? HOUSEKEEPING_MS : 0;
  }

  #gapMs(history: SourceHistory): number {
    return this.#watch.intervalMs + this.#lagMs(history);
  }

  /** Whom metering may take for the owner in a piece: the true one, and around a change the other. */
  #claimants(namespace: string, piece: Piece): string[] {
    const { intervalMs, latencyMs } = this.#watch;
    const owners = this.#timeline.ownership(namespace);
    const tenants = new Set([piece.tenant]);
    const firstSeenMs = this.#watch.fromMs + intervalMs + latencyMs;
    owners.forEach(({ fromMs, tenant }, index) => {
      const before = owners[index - 1];
      if (before === undefined) return;
      // The first label that is seen holds for the time before it.
      if (fromMs <= firstSeenMs && piece.toMs <= fromMs) tenants.add(tenant);
      if (piece.fromMs >= fromMs && piece.fromMs < fromMs + intervalMs) tenants.add(before.tenant);
      if (piece.toMs <= fromMs && piece.toMs > fromMs - latencyMs) tenants.add(tenant);
    });
    return [...tenants];
  }

  /** Pieces that are cut, too, where the label may begin and cease to be in doubt. */
  #pieces(namespace: string, fromMs: number, toMs: number): Iterable<Piece> {
    const { intervalMs, latencyMs } = this.#watch;
    const changes = this.#timeline.ownership(namespace).slice(1);
    const doubts = changes.flatMap(({ fromMs: at }) => [at - latencyMs, at + intervalMs]);
    return this.#timeline.pieces(namespace, fromMs, toMs, doubts);
  }

  #miss(history: SourceHistory, piece: Piece, amount: bigint): void {
    this.#missing.add(this.#key(history, piece), amount);
  }

  #exceed(history: SourceHistory, piece: Piece, amount: bigint): void {
    for (const tenant of this.#claimants(history.source.namespace, piece)) {
      this.#excess.add(this.#key(history, { ...piece, tenant }), amount);
    }
  }

  /** Rows exist on both sides, so that neither forgets one of the other's. */
  #key({ source }: SourceHistory, { hourMs, tenant }: Pick<Piece, 'hourMs' | 'tenant'>): UsageKey {
    const key = { hourMs, tenant, namespace: source.namespace, meter: source.meter };
    this.#missing.add(key, 0n);
    return key;
  }
}

/** Where the level jumps: up at birth, down to 0 at the end. */
function changesOf({
  stretches,
  source,
}: SourceHistory): { readonly atMs: number; readonly delta: bigint }[] {
  return stretches.map(({ fromMs, level }, index) => {
    const before = stretches[index - 1]?.level ?? (fromMs === source.bornMs ? 0n : level);
    return { atMs: fromMs, delta: level - before };
  });
}

/** The same times without overlaps. */
function merged(spans: readonly Span[]): Span[] {
  const result: Span[] = [];
  for (const span of [...spans].sort((a, b) => a.fromMs - b.fromMs)) {
    const last = result.at(-1);
    if (last !== undefined && span.fromMs <= last.toMs) {
      result[result.length - 1] = { fromMs: last.fromMs, toMs: Math.max(last.toMs, span.toMs) };
    } else result.push(span);
  }
  return result;
}
