/**
 * The life of one cumulative counter as its target's scrapes show it: births of every kind, resets told and
 * untold, glitches, spikes, markers, rejected values, conflicting copies.
 */
import type { OtlpValue } from '../../model/record.ts';
import type { Row, RowValue, WireType } from '../../vectors/otlp-json.ts';
import type { Random } from './random.ts';
import { aroundSample, HOUR, MINUTE, SECOND, type Scene, type Scrape } from './scene.ts';

export interface CounterPlan {
  readonly name: string;
  readonly labels: Readonly<Record<string, string | OtlpValue>>;
  readonly type: WireType;
  /** Of one growth: whole bytes and counts, or seconds with a fraction. */
  readonly amounts: readonly [number, ...number[]];
  /** What the plausibility bound allows on an interval of so many ms, exactly. */
  readonly allowed: ((ms: number) => number) | undefined;
  /** cAdvisor stamps its own, earlier times. */
  readonly ownTimes: boolean;
  readonly starts: 'none' | 'own' | 'mixed';
  /** Index of the first scrape that shows it. */
  readonly first: number;
}

interface Life {
  value: number;
  startMs: number | undefined;
  lastMs: number;
  seen: boolean;
}

type Op = 'grow' | 'same' | 'drop' | 'glitch' | 'spike' | 'bound' | 'skip' | 'marker' | 'reject';

const OPS: Readonly<Record<Op, number>> = {
  ...{ grow: 58, same: 6, drop: 8, glitch: 5, spike: 4, bound: 4, skip: 7, marker: 4, reject: 4 },
};
const FIRST_OPS: Readonly<Record<Op, number>> = {
  ...{ grow: 76, same: 0, drop: 0, glitch: 0, spike: 4, bound: 4, skip: 0, marker: 0, reject: 16 },
};

/** Puts the counter's rows into the scrapes and returns them. */
export function liveCounter(scene: Scene, scrapes: readonly Scrape[], plan: CounterPlan): Row[] {
  const { random } = scene;
  const life: Life = { value: 0, startMs: undefined, lastMs: 0, seen: false };
  const shown: Row[] = [];
  scrapes.forEach((scrape, index) => {
    if (index < plan.first) return;
    const timeMs = plan.ownTimes ? ownTime(random, scrapes, index) : scrape.timeMs;
    const before = life.seen ? life.lastMs : (scrapes[index - 1]?.timeMs ?? timeMs - MINUTE);
    const rows = nextRows(plan, life, { random, timeMs, before, beginMs: scrapes[0]?.timeMs ?? timeMs });
    scrape.rows.push(...rows);
    shown.push(...rows);
  });
  return shown;
}

/** Mostly a little before the scrape, sometimes at it, or as early as the scrape before. */
export function ownTime(random: Random, scrapes: readonly Scrape[], index: number): number {
  const at = scrapes[index]?.timeMs ?? 0;
  const before = scrapes[index - 1]?.timeMs ?? at - 30 * SECOND;
  return random.chance(0.06) ? before + random.pick([0, 1]) : at - random.pick([0, 0, 1, 2, 5, 10]) * SECOND;
}

interface Moment {
  readonly random: Random;
  readonly timeMs: number;
  readonly before: number;
  readonly beginMs: number;
}

function nextRows(plan: CounterPlan, life: Life, moment: Moment): Row[] {
  const { random } = moment;
  const op = random.weighted(life.seen ? OPS : FIRST_OPS);
  const row = (value: RowValue, startMs: number | undefined): Row => ({
    ...{ name: plan.name, labels: plan.labels, timeMs: moment.timeMs, value, type: plan.type },
    ...(startMs === undefined ? {} : { startMs }),
  });
  if (op === 'skip') return [];
  if (op === 'marker') return [row({ flags: 1 }, undefined)];
  if (op === 'reject') return [row(rejectedValue(random, plan.type), undefined)];
  if (!life.seen) life.startMs = firstStart(plan, moment);
  const value = nextValue(plan, life, op, moment);
  if (op === 'drop') life.startMs = startAfterDrop(plan, life, moment);
  const startMs = plan.starts === 'mixed' && random.chance(0.4) ? undefined : life.startMs;
  const rows = [row(numberOf(random, value, plan.type), startMs)];
  if (life.seen && random.chance(0.08)) rows.push(...copiesOf(row, value, plan, moment));
  if (op !== 'spike' && op !== 'glitch') life.value = value;
  life.lastMs = moment.timeMs;
  life.seen = true;
  return rows;
}

function nextValue(plan: CounterPlan, life: Life, op: Op, moment: Moment): number {
  const { random } = moment;
  const growth = random.pick(plan.amounts);
  const bound = plan.allowed?.(moment.timeMs - moment.before) ?? growth;
  switch (op) {
    case 'same':
      return life.value;
    case 'drop':
      return random.chance(0.3) ? life.value + growth : random.pick([0, growth / 2, growth]);
    case 'glitch':
      return Math.max(0, life.value - growth);
    case 'spike':
      return life.value + bound * 2 + 1_000_000_000;
    case 'bound':
      return life.value + bound + random.pick([0, 0, 1]);
    default:
      return life.value + growth * random.int(1, 4);
  }
}

/** The start a first point shows: from before metering to after the point itself. */
function firstStart(plan: CounterPlan, { random, timeMs, before, beginMs }: Moment): number | undefined {
  if (plan.starts === 'none') return undefined;
  return random.pick([
    beginMs - HOUR,
    beginMs,
    beginMs,
    before,
    timeMs,
    aroundSample(random, before, timeMs),
  ]);
}

/** A reset that its start tells, one that it does not, and one whose start is nonsense. */
function startAfterDrop(plan: CounterPlan, life: Life, { random, timeMs }: Moment): number | undefined {
  if (plan.starts === 'none' || random.chance(0.2)) return life.startMs;
  return aroundSample(random, life.lastMs, timeMs);
}

/** Other copies of the same (series, t): another value, another start, a marker, the same again. */
function copiesOf(
  row: (value: RowValue, startMs: number | undefined) => Row,
  value: number,
  plan: CounterPlan,
  { random, timeMs, before }: Moment,
): Row[] {
  const start = (): number => aroundSample(random, before, timeMs);
  switch (random.weighted({ conflict: 4, start: 4, marker: 2, same: 2 })) {
    case 'conflict':
      return [row(numberOf(random, value + random.pick(plan.amounts), plan.type), undefined)];
    case 'start':
      return [
        row(numberOf(random, value, plan.type), start()),
        row(numberOf(random, value, plan.type), start()),
      ];
    case 'marker':
      return [row({ flags: 1 }, undefined)];
    case 'same':
      return [row(numberOf(random, value, plan.type), undefined)];
  }
}

/** A number as the wire type carries it; whole numbers are sometimes sent as integers. */
export function numberOf(random: Random, value: number, type: WireType): RowValue {
  if (type === 'histogram' || type === 'delta_histogram' || type === 'summary') {
    return { count: String(Math.round(value)) };
  }
  const whole = Number.isInteger(value);
  return whole && random.chance(0.15) ? { asInt: String(value) } : { asDouble: value };
}

export function rejectedValue(random: Random, type: WireType): RowValue {
  if (type === 'histogram' || type === 'delta_histogram' || type === 'summary') {
    return { count: '9223372036854775808' };
  }
  return random.pick<RowValue>([
    { asDouble: 'NaN' },
    { asDouble: 'Infinity' },
    { asDouble: '-Infinity' },
    { asDouble: -5 },
    { asInt: '-1' },
    { asDouble: 1e19 },
    {},
  ]);
}
