/**
 * What is known of clusters: how far they were seen, and whether all that they measured was given to
 * somebody. Input: whose clusters may be told of. Nothing is written.
 */
import { startOfHour } from '../../../core/metering/hour.ts';
import { openHours } from '../../ledger/hour-marks.ts';
import { SETTLE_AFTER_MS } from '../../ledger/settler.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import type { TenantScope } from '../identity/access.ts';
import { tenantConditions } from '../identity/tenant-conditions.ts';

export interface ClusterWatermark {
  readonly cluster: string;
  /** Its newest accepted successful scrape, ms. */
  readonly watermarkMs: number;
  /** Every hour before this is in the ledger, as far as is known, ms. */
  readonly settledBeforeMs: number;
}

export interface ReconciledHour {
  /** Start, ms. */
  readonly hour: number;
  readonly cluster: string;
  readonly meter: string;
  /** Base units, as decimals. */
  readonly measured: string;
  readonly attributed: string;
  readonly platform: string;
  readonly unattributed: string;
  readonly difference: string;
  readonly compared: string | null;
  readonly reference: string | null;
}

/** Behind it, in the order of the rows. */
export type ReconciliationPlace = Pick<ReconciledHour, 'hour' | 'cluster' | 'meter'>;

export interface ReconciliationRequest {
  /** On whole hours. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly clusters?: readonly string[] | undefined;
  readonly meters?: readonly string[] | undefined;
  readonly after?: ReconciliationPlace | undefined;
  readonly limit: number;
}

export interface ClusterReader {
  /** By name, those that the scope has something in. */
  watermarks(scope: TenantScope): Promise<readonly ClusterWatermark[]>;
  /** By hour, cluster and meter. It tells of all tenants at once. */
  reconciliation(request: ReconciliationRequest): Promise<readonly ReconciledHour[]>;
}

export class StoreClusterReader implements ClusterReader {
  readonly #store: UsageStore;
  readonly #timeoutMs: number;

  constructor(config: { readonly queryTimeoutMs: number }, deps: { readonly store: UsageStore }) {
    this.#store = deps.store;
    this.#timeoutMs = config.queryTimeoutMs;
  }

  async watermarks(scope: TenantScope): Promise<readonly ClusterWatermark[]> {
    const { clusters, parameters } = tenantConditions(scope);
    const where = ['1', ...clusters].join(' AND ');
    const rows = await this.#store.rows<{ name: string; newest: string }>(
      `SELECT toString(cluster) AS name, max(t) AS newest FROM watermark WHERE ${where}
       GROUP BY cluster ORDER BY name`,
      parameters,
      { timeoutMs: this.#timeoutMs },
    );
    const marks = await openHours(this.#store, { timeoutMs: this.#timeoutMs });
    const open = Map.groupBy(marks, ({ cluster }) => cluster);
    return rows.map(({ name, newest }) => {
      const watermarkMs = Number(newest);
      const reached = startOfHour(watermarkMs - SETTLE_AFTER_MS);
      const waiting = (open.get(name) ?? []).map(({ hour }) => hour);
      return { cluster: name, watermarkMs, settledBeforeMs: Math.min(reached, ...waiting) };
    });
  }

  async reconciliation(request: ReconciliationRequest): Promise<readonly ReconciledHour[]> {
    const { fromMs, toMs, clusters, meters, after, limit } = request;
    const conditions = [
      "hour >= toDateTime({from:Int64}, 'UTC') AND hour < toDateTime({to:Int64}, 'UTC')",
      ...(clusters === undefined ? [] : ['cluster IN {clusters:Array(String)}']),
      ...(meters === undefined ? [] : ['meter IN {meters:Array(String)}']),
      ...(after === undefined
        ? []
        : ['(toUnixTimestamp(hour), cluster, meter) > ({hour:UInt32}, {cluster:String}, {meter:String})']),
    ];
    const rows = await this.#store.rows<ReconciliationRow>(
      `SELECT toUnixTimestamp(hour) AS seconds, toString(cluster) AS ofCluster, toString(meter) AS ofMeter,
         toString(measured) AS all, toString(attributed) AS tenants, toString(platform) AS own,
         toString(unattributed) AS nobody, toString(difference) AS rest,
         toString(compared) AS held, toString(reference) AS against
       FROM reconciliation FINAL WHERE ${conditions.join(' AND ')}
       ORDER BY seconds, ofCluster, ofMeter LIMIT {limit:UInt32}`,
      {
        ...{ from: Math.floor(fromMs / 1000), to: Math.ceil(toMs / 1000), limit },
        ...{ clusters: clusters ?? [], meters: meters ?? [] },
        ...{ hour: (after?.hour ?? 0) / 1000, cluster: after?.cluster ?? '', meter: after?.meter ?? '' },
      },
      { timeoutMs: this.#timeoutMs },
    );
    return rows.map((row) => ({
      ...{ hour: row.seconds * 1000, cluster: row.ofCluster, meter: row.ofMeter },
      ...{ measured: row.all, attributed: row.tenants, platform: row.own, unattributed: row.nobody },
      ...{ difference: row.rest, compared: row.held, reference: row.against },
    }));
  }
}

interface ReconciliationRow {
  readonly seconds: number;
  readonly ofCluster: string;
  readonly ofMeter: string;
  readonly all: string;
  readonly tenants: string;
  readonly own: string;
  readonly nobody: string;
  readonly rest: string;
  readonly held: string | null;
  readonly against: string | null;
}
