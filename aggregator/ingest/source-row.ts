/** A distinct source row: what its points have in common, and what this process has already said about it. */
import { MEASURED_METERS } from '../../core/metering/catalogue.ts';
import type { PointRejection } from '../../core/metering/rejection.ts';
import { SCALES } from '../../core/metering/quantity.ts';
import { seriesIdentity } from '../../core/metering/series.ts';
import { invariant } from '../../core/runtime/errors.ts';
import type { RowMeaning, UsageRow } from './admission.ts';
import type { SeriesRow, Target } from './batch.ts';
import { hash128, hash64 } from './hash.ts';

export type SourceRow =
  | SeriesSource
  | FactSource
  | { readonly kind: 'rejected'; readonly reason: PointRejection; readonly excerpt: string }
  | { readonly kind: 'ignored' };

/** A row whose points are facts about other rows, as reported by one target. */
export interface FactSource {
  readonly kind: 'fact';
  readonly meaning: Exclude<RowMeaning, UsageRow | { kind: 'none' }>;
  target: Target;
  /** What a container's start is filed under; 0 for other facts. */
  readonly startKey: bigint;
  /** What is said up to this instant names what an erasure has taken; 0 where nothing was. */
  readonly frozenUntil: number;
}

export const IGNORED: SourceRow = { kind: 'ignored' };

/** A row whose points are samples of a series, as reported by one target. */
export class SeriesSource {
  readonly kind = 'series';
  target: Target;
  readonly series: Uint8Array;
  readonly delta: boolean;
  readonly isCounter: boolean;
  /** A total that usage is held against: how much was seen of it, nobody asks. */
  readonly isReference: boolean;
  readonly scale: number;
  /** Index into MEASURED_METERS. */
  readonly meter: number;
  /** What samples carry as their target: 0 unless resets need to know who reported them. */
  readonly sampleTarget: bigint;
  readonly startKey: bigint;
  /** Samples up to this instant fall into hours that an erasure has frozen. */
  readonly frozenUntil: number;
  /** Earliest sightings already told, and the newest day on which the series was registered. */
  firstValue = Infinity;
  firstRejected = Infinity;
  registeredDay = -1;
  /** What its labels say, until it was registered: a row stays for days, its labels would be most of it. */
  #unregistered: UsageRow | undefined;

  constructor(
    row: UsageRow,
    options: { metric: string; target: Target; delta: boolean; frozenUntil: number },
  ) {
    const { target, metric, delta } = options;
    const meter = row.meter;
    this.#unregistered = row;
    this.target = target;
    this.frozenUntil = options.frozenUntil;
    this.isCounter = meter.kind === 'counter';
    this.isReference = meter.isReference;
    this.delta = delta && this.isCounter;
    this.scale = SCALES[meter.source];
    this.meter = MEASURED_METERS.indexOf(meter);
    this.sampleTarget = meter.birth === 'process' && !this.delta ? target.id : 0n;
    this.startKey = row.container === '' ? 0n : containerKey(target.cluster, row.container);
    this.series = hash128(
      seriesIdentity({
        cluster: target.cluster,
        meter: meter.name,
        metric,
        delta: this.delta,
        labels: row.identity,
      }),
    );
  }

  get meterName(): string {
    return MEASURED_METERS[this.meter]?.name ?? '';
  }

  /** `reread` gives what its labels say once more, for a later day. */
  registration(day: number, metric: string, reread: () => RowMeaning): SeriesRow {
    const row = this.#unregistered ?? reread();
    invariant(row.kind === 'usage', 'a row means the same whenever it is read');
    const { namespace, podKey, identity, meter } = row;
    const { target, series, delta } = this;
    this.#unregistered = undefined;
    return {
      cluster: target.cluster,
      series,
      meter: meter.name,
      metric,
      delta,
      namespace,
      podKey,
      labels: identity,
      day,
    };
  }
}

export function containerKey(cluster: string, container: string): bigint {
  return hash64(JSON.stringify([cluster, container]));
}

export function targetId(cluster: string, job: string, instance: string): bigint {
  return hash64(JSON.stringify([cluster, job, instance]));
}
