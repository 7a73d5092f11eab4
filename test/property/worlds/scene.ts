/**
 * What a world is made of before it becomes records: targets with their scrapes, on a coarse grid of time so
 * that samples fall on hours, quarters, scrapes and changes of owner as if by accident all the time.
 */
import type { ModelSettings } from '../../model/record.ts';
import type { Row } from '../../vectors/otlp-json.ts';
import type { Random } from './random.ts';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const QUARTER = 15 * MINUTE;
export const HOUR = 60 * MINUTE;
export const BEGIN = Date.parse('2026-10-01T09:00:00Z');

export interface Scrape {
  readonly timeMs: number;
  readonly rows: Row[];
}

export interface Target {
  readonly cluster: string;
  readonly job: string;
  readonly instance: string;
  /** Labels it puts on each of its points, the cluster's among them unless the resource carries it. */
  readonly labels: Readonly<Record<string, string>>;
  readonly resource: Readonly<Record<string, string>>;
  readonly scrapes: readonly Scrape[];
  /** Whether it ever says `up`; rows of one that never does are of unknown origin. */
  readonly saysUp: boolean;
}

export interface Scene {
  readonly random: Random;
  /** For what usage is broken down by, so that nothing else depends on it. */
  readonly details: Random;
  readonly settings: ModelSettings;
  readonly targets: Target[];
}

export interface Place {
  readonly cluster: string;
  readonly node: string;
  readonly namespace: string;
}

const STEPS = [15 * SECOND, 30 * SECOND, MINUTE, 5 * MINUTE, 10 * MINUTE] as const;

export function addTarget(
  scene: Scene,
  of: { cluster: string; job: string; node?: string; times: readonly number[] },
): Target {
  const { cluster, job, node, times } = of;
  const inResource = scene.random.chance(0.15);
  const target: Target = {
    cluster,
    job,
    instance: node ?? job,
    labels: { ...(inResource ? {} : { cluster }), ...(node === undefined ? {} : { node }) },
    resource: inResource ? { 'k8s.cluster.name': cluster } : {},
    saysUp: scene.random.chance(0.97),
    scrapes: times.map((timeMs) => ({ timeMs, rows: [] })),
  };
  scene.targets.push(target);
  return target;
}

/** Scrape times: a regular beat with gaps, jumps onto boundaries and a missing millisecond here and there. */
export function schedule({ random, settings }: Scene, count: number): number[] {
  const step = random.pick(STEPS);
  const times: number[] = [];
  let time = BEGIN + random.pick([0, -step, -2 * step, QUARTER - step, HOUR - 2 * step, 2 * HOUR - step]);
  for (let index = 0; index < count; index += 1) {
    times.push(time);
    time += nextGap(random, { index, time, step, latenessMs: settings.latenessMs });
    if (random.chance(0.07)) time += random.pick([-1, 1]);
    if (random.chance(0.04)) time += random.int(1, 14) * SECOND;
  }
  return times;
}

function nextGap(
  random: Random,
  { index, time, step, latenessMs }: { index: number; time: number; step: number; latenessMs: number },
): number {
  // Early on it is a birth that looks back over the gap.
  const lateness = index < 3 ? 18 : 3;
  switch (random.weighted({ beat: 78, quarter: 5, hour: 5, gap: 6, lateness, days: 1 })) {
    case 'beat':
      return step;
    case 'quarter':
      return QUARTER - (time % QUARTER);
    case 'hour':
      return HOUR - (time % HOUR);
    case 'gap':
      return random.int(1, 7) * HOUR + random.pick([0, step, QUARTER]);
    case 'lateness':
      return latenessMs + random.pick([0, 1, -1]);
    case 'days':
      return 49 * HOUR;
  }
}

/** A time that something else in the world is likely to share. */
export function sharedTime({ random, targets }: Scene): number {
  const times = targets.flatMap(({ scrapes }) => scrapes.map(({ timeMs }) => timeMs));
  const scraped = times[random.int(0, times.length - 1)] ?? BEGIN;
  switch (random.weighted({ scrape: 45, hour: 20, quarter: 15, between: 12, near: 8 })) {
    case 'scrape':
      return scraped;
    case 'hour':
      return scraped - (scraped % HOUR) + random.pick([0, HOUR]);
    case 'quarter':
      return scraped - (scraped % QUARTER) + random.pick([0, QUARTER]);
    case 'between':
      return scraped + random.int(1, 20) * SECOND;
    case 'near':
      return scraped + random.pick([-1, 1]);
  }
}

/** A time around a sample: at its predecessor's, between the two, at its own, one ms off any of them. */
export function aroundSample(random: Random, before: number, at: number): number {
  const middle = before + Math.floor((at - before) / 2 / SECOND) * SECOND;
  return random.pick([before, before, middle, middle, middle, at, at + 1, before + 1, before - 1, at - 1]);
}

export const UIDS = [
  '04261a93-336a-4f8b-a8ed-d55c474ab25c',
  '2da280e2-2cb2-462d-af41-927b2ded8a4f',
  'e15a0cdd-1692-4d77-a2b7-20d0d7ae8a24',
] as const;

export interface Pod {
  readonly name: string;
  readonly uid: string;
  /** Of the cgroup; a static pod's carries no UUID. */
  readonly id: string;
}

export function somePod(random: Random): Pod {
  const index = random.int(0, 2);
  const uid = UIDS[index] ?? UIDS[0];
  const name = random.pick(['web-0', 'web-0', 'db-0']);
  const slice = '/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod';
  const written = random.chance(0.7) ? uid.replaceAll('-', '_') : uid;
  const id = random.chance(0.25) ? `${slice}${'0f'.repeat(16)}.slice` : `${slice}${written}.slice`;
  return { name, uid, id };
}
