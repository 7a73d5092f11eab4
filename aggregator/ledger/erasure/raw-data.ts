/**
 * What the store holds of a tenant beside its usage: samples, ends of pods, labels of series, names of pods
 * on the host's network, usage broken down and who owned which pod, excerpts in the quarantine. In:
 * namespaces and their stretches of hours. Out: all of it deleted, the files rewritten and not only masked.
 * Every step finds what is left by itself, so it may be repeated at any time.
 *
 * What stays names nobody: ids of series and pods, which are hashes and random numbers, with times and
 * values.
 */
import { usageTopic } from '../../../core/eventlog/usage-topic.ts';
import type { Parameters, UsageStore } from '../../store/usage-store.ts';
import type { ErasedStretch } from './decision.ts';

/** Namespaces of a cluster that were owned in the same hours. */
interface Plot {
  readonly cluster: string;
  readonly namespaces: readonly string[];
  readonly bounds: readonly { readonly from: number; readonly to: number }[];
}

const NAMESPACES_PER_STATEMENT = 500;
/** The statement ends when the files are rewritten, on every replica. */
const AT_ONCE = 'SETTINGS mutations_sync = 2';

const IN_HOURS = `cluster = {cluster:String}
  AND hour >= toDateTime({first:Int64}, 'UTC') AND hour < toDateTime({end:Int64}, 'UTC')
  AND arrayExists((a, b) -> toUnixTimestamp(hour) >= a AND toUnixTimestamp(hour) < b,
    {froms:Array(UInt32)}, {tos:Array(UInt32)})`;

const OF_NAMESPACES = 'cluster = {cluster:String} AND namespace IN {namespaces:Array(String)}';
const SAMPLES = `${IN_HOURS} AND series IN (SELECT series FROM series WHERE ${OF_NAMESPACES})`;

/** Met for the first time in these hours; an instant on a boundary belongs to the hour before. */
const FIRST_MET = `series IN (
  SELECT series FROM sightings
  WHERE cluster = {cluster:String} AND series IN (SELECT series FROM series WHERE ${OF_NAMESPACES})
  GROUP BY series
  HAVING arrayExists((a, b) -> least(min(value_t), min(rejected_t)) > toInt64(a) * 1000
      AND least(min(value_t), min(rejected_t)) <= toInt64(b) * 1000,
    {froms:Array(UInt32)}, {tos:Array(UInt32)}))`;

/** Labels but for the pod's random id, by which its phases are told. */
const NAMELESS = "mapFilter((name, text) -> name = 'uid', labels)";
const NAMED = `(labels != ${NAMELESS} OR startsWith(pod_key, 'pod:'))`;
/** `left`: a condition on samples that would keep a series named. */
const withoutSamples = (left: string): string => `${OF_NAMESPACES} AND ${NAMED} AND ${FIRST_MET}
  AND series NOT IN (
    SELECT series FROM samples
    WHERE cluster = {cluster:String} AND ${left}
      AND series IN (SELECT series FROM series WHERE ${OF_NAMESPACES}))`;
const NO_SAMPLES_LEFT = withoutSamples('1');

const POD_NAME = "concat('pod:', namespace, '/', labels['pod'])";

/** A refused point says in its excerpt when it was taken, unless it was refused for its labels. */
const POINT_T = "toInt64OrZero(extract(excerpt, '@([0-9]+)$'))";

export class RawData {
  readonly #store: UsageStore;
  readonly #plots: readonly Plot[];

  constructor(store: UsageStore, stretches: readonly ErasedStretch[]) {
    this.#store = store;
    this.#plots = plotsOf(stretches);
  }

  /** What there is: samples, and series that will have none when these are deleted. */
  async count(): Promise<{ samples: bigint; series: number }> {
    let [samples, series] = [0n, 0];
    for (const plot of this.#plots) {
      const parameters = parametersOf(plot);
      const [row] = await this.#store.rows<{ n: string }>(
        `SELECT count() AS n FROM samples FINAL WHERE ${SAMPLES}`,
        parameters,
      );
      const [named] = await this.#store.rows<{ n: string }>(
        `SELECT uniqExact(series) AS n FROM series WHERE ${withoutSamples(`NOT (${IN_HOURS})`)}`,
        parameters,
      );
      samples += BigInt(row?.n ?? 0);
      series += Number(named?.n ?? 0);
    }
    return { samples, series };
  }

  /**
   * Day by day, so that no statement has to rewrite a month. `rolledSince`: hours that nobody touched are
   * clean.
   */
  async deleteSamples(options: { readonly rolledSince?: number } = {}): Promise<boolean> {
    let found = false;
    for (const plot of this.#plots) {
      const where = options.rolledSince === undefined ? SAMPLES : `${SAMPLES} AND ${ROLLED_SINCE}`;
      const since = (options.rolledSince ?? 0) / 1000;
      const parameters = { ...parametersOf(plot), since };
      const days = await this.#store.rows<{ day: number }>(
        `SELECT DISTINCT toYYYYMMDD(hour) AS day FROM samples WHERE ${where} ORDER BY day`,
        parameters,
      );
      for (const { day } of days) {
        await this.#store.command(
          `ALTER TABLE samples DELETE IN PARTITION ID {day:String} WHERE ${SAMPLES} ${AT_ONCE}`,
          { ...parametersOf(plot), day: String(day) },
        );
      }
      found ||= days.length > 0;
    }
    return found;
  }

  /** Ends of pods that requests of these namespaces told. */
  async deletePodEnds(): Promise<void> {
    await this.#mutate('pod_phase', {
      action: 'DELETE',
      where: `${IN_HOURS} AND pod_uid IN (
        SELECT labels['uid'] FROM series WHERE ${OF_NAMESPACES} AND labels['uid'] != '')`,
    });
  }

  /**
   * Names of pods, and every label of series, of which there are no samples any more. Pods first: labels name
   * them.
   */
  async forgetLabels(): Promise<void> {
    await this.#mutate('host_network', {
      action: 'DELETE',
      where: `cluster = {cluster:String}
        AND pod_key IN (SELECT ${POD_NAME} FROM series WHERE ${NO_SAMPLES_LEFT})
        AND pod_key NOT IN (
          SELECT ${POD_NAME} FROM series
          WHERE ${OF_NAMESPACES} AND series NOT IN (SELECT series FROM series WHERE ${NO_SAMPLES_LEFT}))`,
    });
    await this.#mutate('series', {
      action: `UPDATE labels = ${NAMELESS}, pod_key = if(startsWith(pod_key, 'pod:'), '', pod_key)`,
      where: NO_SAMPLES_LEFT,
    });
  }

  /** Names of workloads and destinations, and who owned the pods of hours that are never rolled up again. */
  async deleteDetails(): Promise<void> {
    await this.#mutate('detail_parts', {
      action: 'DELETE',
      where: `${IN_HOURS} AND namespace IN {namespaces:Array(String)}`,
    });
    await this.#mutate('detail_history', {
      action: 'DELETE',
      where: `${OF_NAMESPACES} AND hour < toDateTime({end:Int64}, 'UTC')`,
    });
  }

  /** Of refused points that name the namespace. That and why they were refused stays. */
  async blankExcerpts(): Promise<void> {
    for (const plot of this.#plots) {
      const named = plot.namespaces.flatMap((namespace) =>
        ['namespace', 'k8s_namespace_name'].map((label) => `${label}=${JSON.stringify(namespace)}`),
      );
      const topic = usageTopic(plot.cluster);
      await this.#mutateOne('quarantine', {
        action: "UPDATE excerpt = ''",
        where: `topic = {topic:String}
          AND arrayExists(text -> position(excerpt, text) > 0, {named:Array(String)})
          AND arrayExists((a, b) -> if(${POINT_T} > 0, ${POINT_T}, log_timestamp) > toInt64(a) * 1000
              AND if(${POINT_T} > 0, ${POINT_T}, log_timestamp) <= toInt64(b) * 1000,
            {froms:Array(UInt32)}, {tos:Array(UInt32)})`,
        parameters: { topic, named, ...boundsOf(plot) },
      });
    }
  }

  async #mutate(table: string, mutation: { readonly action: string; readonly where: string }): Promise<void> {
    for (const plot of this.#plots)
      await this.#mutateOne(table, { ...mutation, parameters: parametersOf(plot) });
  }

  /** Files are rewritten only where something is found. */
  async #mutateOne(
    table: string,
    {
      action,
      where,
      parameters,
    }: { readonly action: string; readonly where: string; readonly parameters: Parameters },
  ): Promise<void> {
    const found = await this.#store.rows(
      `SELECT 1 AS found FROM ${table} WHERE ${where} LIMIT 1`,
      parameters,
    );
    if (found.length === 0) return;
    await this.#store.command(`ALTER TABLE ${table} ${action} WHERE ${where} ${AT_ONCE}`, parameters);
  }
}

const ROLLED_SINCE = `hour IN (
  SELECT hour FROM unit_mark
  WHERE cluster = {cluster:String} AND rolled_at >= toDateTime64({since:Float64}, 3, 'UTC'))`;

function plotsOf(stretches: readonly ErasedStretch[]): Plot[] {
  const ofNamespace = Map.groupBy(stretches, ({ cluster, namespace }) =>
    JSON.stringify([cluster, namespace]),
  );
  const alike = Map.groupBy(ofNamespace.values(), (own) =>
    JSON.stringify([own[0]?.cluster, ...own.flatMap(({ from, to }) => [from, to])]),
  );
  return [...alike.values()].flatMap((namespaces) => {
    const bounds = (namespaces[0] ?? []).map(({ from, to }) => ({ from, to }));
    const names = namespaces.flatMap(([first]) => (first === undefined ? [] : [first.namespace]));
    const cluster = namespaces[0]?.[0]?.cluster ?? '';
    return chunks(names).map((chunk) => ({ cluster, namespaces: chunk, bounds }));
  });
}

function chunks(names: readonly string[]): string[][] {
  const count = Math.ceil(names.length / NAMESPACES_PER_STATEMENT);
  return Array.from({ length: count }, (_, i) =>
    names.slice(i * NAMESPACES_PER_STATEMENT, (i + 1) * NAMESPACES_PER_STATEMENT),
  );
}

function boundsOf({ bounds }: Plot): { froms: number[]; tos: number[] } {
  return { froms: bounds.map(({ from }) => from / 1000), tos: bounds.map(({ to }) => to / 1000) };
}

function parametersOf(plot: Plot): {
  cluster: string;
  namespaces: readonly string[];
  froms: number[];
  tos: number[];
  first: number;
  end: number;
} {
  const { froms, tos } = boundsOf(plot);
  const { cluster, namespaces } = plot;
  return { cluster, namespaces, froms, tos, first: Math.min(...froms), end: Math.max(...tos) };
}
