import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { DETAILS, TENANT_LABELS } from '../../aggregator/attribution/histories.ts';
import type { Facts } from '../../aggregator/ingest/batch.ts';
import { HistoryEffects } from '../../aggregator/ingest/history-effects.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { Random } from '../property/worlds/random.ts';
import type { TestStore } from '../support/chdb.ts';
import { FaultyStore } from '../support/faulty-store.ts';
import { emptyStore, openFastStore } from '../support/pipeline.ts';

const HOUR = 3_600_000;
const HOURS = 40;
const NAMESPACES = Array.from({ length: 60 }, (_, i) => `team-${i}`);

let opened: TestStore;
beforeAll(async () => {
  opened = await openFastStore();
});
afterAll(async () => {
  await opened.dispose();
});
beforeEach(() => emptyStore(opened.store));

type Labels = Facts['labels'];

/** Sightings at random, a series in each namespace with a first value and closings, and all hours rolled up but one. */
async function cluster(random: Random): Promise<Labels> {
  const labels = NAMESPACES.flatMap((namespace) =>
    Array.from({ length: random.int(1, 6) }, () => ({
      cluster: 'rt1',
      namespace,
      t: random.int(1, HOURS) * HOUR + random.pick([0, 1, HOUR / 2]),
      tenant: random.pick(['acme', 'globex', '']),
    })),
  );
  const series = (namespace: string): string => namespace.padEnd(16, '_');
  const hours = Array.from({ length: HOURS }, (_, i) => (i + 1) * 3600).filter(() => random.chance(0.7));
  const { store } = opened;
  await store.insert('label_history', labels);
  await store.insert(
    'series',
    NAMESPACES.map((namespace) => ({ cluster: 'rt1', series: series(namespace), meter: 'cpu', namespace })),
  );
  await store.insert(
    'sightings',
    NAMESPACES.filter(() => random.chance(0.8)).map((namespace) => ({
      ...{ cluster: 'rt1', series: series(namespace), target: 1 },
      ...{ value_t: random.int(1, HOURS) * HOUR, rejected_t: 9223372036854775807n },
    })),
  );
  await store.insert(
    'closings',
    NAMESPACES.flatMap((namespace) =>
      hours
        .filter(() => random.chance(0.3))
        .map((hour) => ({ cluster: 'rt1', hour, series: series(namespace), t: hour * 1000 + 1 })),
    ),
  );
  await store.insert(
    'unit_mark',
    hours.map((hour, i) => ({ cluster: 'rt1', hour, source: 'usage/0', marked: 1, rolled: Number(i > 0) })),
  );
  return labels;
}

async function effects(store: UsageStore, labels: Labels): Promise<number[]> {
  const seen = labels.map(({ namespace, t, tenant }) => ({ subject: namespace, t, value: tenant }));
  const hours = await new HistoryEffects(store, TENANT_LABELS).of('rt1', seen);
  return [...new Set(hours)].sort((a, b) => a - b);
}

test.each([1, 2, 3, 4])(
  'sightings of many namespaces change the hours that each of them would alone (seed %i)',
  async (seed) => {
    const random = new Random(seed);
    const labels = await cluster(random);
    const some = labels.filter(() => random.chance(0.02));
    const alone = await Promise.all(
      [...Map.groupBy(some, (label) => label.namespace).values()].map((each) => effects(opened.store, each)),
    );
    const together = await effects(opened.store, some);
    expect(together).toEqual([...new Set(alone.flat())].sort((a, b) => a - b));
    expect(together.length).toBeGreaterThan(0);
  },
);

test('as many statements are asked for sixty namespaces as for one', async () => {
  const labels = await cluster(new Random(5));
  const store = new FaultyStore(opened.store);
  let reads = 0;
  store.plan = () => {
    reads++;
    return undefined;
  };
  await effects(store, labels);
  expect(reads).toBeLessThanOrEqual(5);
});

test('pods that are gone are forgotten, and what comes of them again is found in the store', async () => {
  const random = new Random(6);
  await cluster(random);
  const whole = new HistoryEffects(opened.store, DETAILS);
  const pruned = new HistoryEffects(opened.store, DETAILS, { keptHeads: 20 });
  let most = 0;
  let changed = 0;
  for (let hour = 1; hour <= HOURS; hour++) {
    // Ten of its own that are soon gone, and one of long ago that comes back.
    const names = [...Array.from({ length: 10 }, (_, i) => hour * 10 + i), random.int(0, hour * 10)];
    const rows = names.map((name) => ({
      ...{ cluster: 'rt1', hour: hour * 3600, namespace: 'team-1', subject: `Pod/p${name}` },
      ...{ value: random.pick(['Job/a', 'Job/b']), t: hour * HOUR },
    }));
    await opened.store.insert('detail_history', rows);
    const seen = rows.map(({ subject, value, t }) => ({ subject: `team-1/${subject}`, t, value }));
    const hours = await pruned.of('rt1', seen);
    expect(new Set(hours)).toEqual(new Set(await whole.of('rt1', seen)));
    changed += hours.length;
    most = Math.max(most, pruned.heads);
  }
  expect(changed).toBeGreaterThan(0);
  expect(whole.heads).toBeGreaterThan(HOURS * 10 - 10);
  expect(most).toBeLessThan(100);
});
