/** What the model says of a world: at the cut of each close, and at the end. */
import { stageOf } from '../../aggregator/ledger/replay-decisions.ts';
import type { Close, Decision } from '../../aggregator/ledger/decisions.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import { periodEnd, periodOf, type Period } from '../../core/metering/period.ts';
import { modelUsage, type ModelRow } from '../model/model.ts';
import type { ModelRecord } from '../model/record.ts';
import { DAY } from './traffic.ts';

/** Usage by `keyOf`. */
export type Usage = ReadonlyMap<string, ModelRow>;

export interface Key {
  readonly hour: number;
  readonly tenant: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly meter: string;
}

export function keyOf({ hour, tenant, cluster, namespace, meter }: Key): string {
  return [new Date(hour).toISOString().slice(0, 13), tenant, cluster, namespace, meter].join(' ');
}

export function textOf(row: Pick<ModelRow, 'quarters' | 'missingMs'> | undefined): string {
  return row === undefined ? 'nothing' : `${row.quarters.join('+')} missing ${String(row.missingMs)}`;
}

/** No series of a world reaches further back over a floor. */
const LONGEST_REACH_MS = 8 * DAY;

export class Expected {
  readonly atEnd: Usage;
  readonly #atClose: ReadonlyMap<Period, Usage>;
  /** Hours before it are judged by the replay alone: records came for them after they were frozen. */
  readonly judgedFrom: number;
  readonly closes: readonly Close[];

  constructor(records: readonly ModelRecord[], settings: MeteringSettings, decisions: readonly Decision[]) {
    const below = (decision: Decision): ModelRecord[] =>
      records.filter((record) => stageOf(record, [decision]) === 0);
    this.closes = decisions.filter((decision) => decision.kind === 'close');
    this.atEnd = usageOf(records, settings);
    this.#atClose = new Map(this.closes.map((close) => [close.period, usageOf(below(close), settings)]));
    this.judgedFrom = frozenUntil(records, settings, decisions);
  }

  at(close: Close): Usage {
    return this.#atClose.get(close.period) ?? new Map<string, ModelRow>();
  }

  /** As queries read it: of a closed period what its close saw. */
  current(): Map<string, ModelRow> {
    const closed = new Set(this.closes.map(({ period }) => period));
    const open = [...this.atEnd].filter(([, { hour }]) => !closed.has(periodOf(hour)));
    const ofCloses = this.closes.flatMap((close) =>
      [...this.at(close)].filter(([, { hour }]) => periodOf(hour) === close.period),
    );
    return new Map([...ofCloses, ...open]);
  }

  /** Hours before this are closed. */
  get closedBefore(): number {
    const last = this.closes.at(-1);
    return last === undefined ? 0 : periodEnd(last.period);
  }
}

function usageOf(records: readonly ModelRecord[], settings: MeteringSettings): Usage {
  return new Map(modelUsage(records, settings).map((row) => [keyOf(row), row]));
}

/** The end of what a floor took from records that it did not know; 0 where it took nothing. */
function frozenUntil(
  records: readonly ModelRecord[],
  { rawRetentionMs }: MeteringSettings,
  decisions: readonly Decision[],
): number {
  const taken = decisions.flatMap((decision) =>
    decision.kind === 'floor' &&
    records.some(
      (record) =>
        stageOf(record, [decision]) === 1 &&
        timesIn(record).some((t) => t <= decision.floor && t >= record.timestampMs - rawRetentionMs),
    )
      ? [decision.floor + LONGEST_REACH_MS]
      : [],
  );
  return Math.max(0, ...taken);
}

function timesIn({ metricsData }: ModelRecord): number[] {
  const nanos = JSON.stringify(metricsData).matchAll(/"timeUnixNano":"(\d+)"/g);
  return [...new Set([...nanos].map(([, time = '0']) => Number(time.slice(0, -6))))];
}
