/**
 * What the committed rules leave of a capture is worth as much as the whole of it: every record is taken
 * apart, its series go through the rules of the configuration that would have scraped them, and what is left
 * is written anew as Alloy writes it. Usage of the one and of the other is the same, digit by digit.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { ROOT } from '../reference/reference.ts';
import { committedRules } from '../support/alloy/committed.ts';
import { alloyRecord, seriesIn, type AlloyPoint } from '../support/alloy/records.ts';
import type { TestStore } from '../support/chdb.ts';
import { emptyStore, openFastStore, Pipeline } from '../support/pipeline.ts';
import { captures, linesOf } from '../vectors/captures/expect.ts';
import { VECTOR_SETTINGS } from '../vectors/vectors.ts';

const SHARED = join(ROOT, '../shared/captures');

let opened: TestStore;
beforeAll(async () => {
  opened = await openFastStore();
});
afterAll(() => opened.dispose());
beforeEach(() => emptyStore(opened.store));

interface Line {
  readonly topic: string;
  readonly timestamp: string;
  readonly value: string;
}

interface Collected {
  readonly records: readonly LogRecord[];
  readonly pointsBefore: number;
  readonly pointsAfter: number;
}

/** The capture as the committed configurations would have collected it. */
function collected(lines: readonly string[]): Collected {
  const pass = committedRules();
  let pointsBefore = 0;
  let pointsAfter = 0;
  const records = lines.flatMap((line, index) => {
    const { topic, timestamp, value } = JSON.parse(line) as Line;
    const points = seriesIn(Buffer.from(value, 'base64'));
    const passed = points.flatMap((point) => {
      const labels = pass(point.labels);
      return labels === undefined ? [] : [{ ...point, labels, cluster: point.labels.get('cluster') ?? '' }];
    });
    pointsBefore += points.length;
    pointsAfter += passed.length;
    const byResource = [...Map.groupBy(passed, resourceKey).values()];
    return byResource.map((group, part) =>
      alloyRecord({
        topic,
        offset: BigInt(index * 100 + part),
        timestampMs: Number(timestamp),
        resource: resourceOf(group[0]!),
        points: group,
      }),
    );
  });
  return { records, pointsBefore, pointsAfter };
}

type Passed = AlloyPoint & { readonly cluster: string };

/** As the sink's transform leaves it. */
function resourceOf({ labels, cluster }: Passed): Map<string, string> {
  return new Map([
    ['service.name', labels.get('job') ?? ''],
    ['service.instance.id', labels.get('instance') ?? ''],
    ['k8s.cluster.name', cluster],
  ]);
}

function resourceKey(point: Passed): string {
  return JSON.stringify([...resourceOf(point)]);
}

/** The CSV of specified columns, as `replay` prints it. */
async function usageCsv(records: readonly LogRecord[]): Promise<string> {
  const pipeline = new Pipeline(opened.store, VECTOR_SETTINGS);
  await pipeline.take(records);
  const rows = (await pipeline.usage()).filter(({ quantity }) => quantity !== 0n);
  const text = rows.map(({ hour, tenant, cluster, namespace, meter, quantity }) =>
    [new Date(hour).toISOString().replace('.000Z', 'Z'), tenant, cluster, namespace, meter, quantity].join(),
  );
  return ['hour,tenant,cluster,namespace,meter,quantity', ...text.sort(), ''].join('\n');
}

test.each(captures().map(({ file, ...capture }) => ({ ...capture, name: file.split('/').at(-1) })))(
  '$name through the rules: the same usage from a fraction of the points',
  async ({ lines, expectedFile }) => {
    const { records, pointsBefore, pointsAfter } = collected(lines);
    expect(await usageCsv(records)).toBe(readFileSync(expectedFile, 'utf8'));
    expect(pointsAfter).toBeLessThan(pointsBefore / 3);
  },
);

describe.skipIf(!existsSync(SHARED))(
  'the long captures (skipped where ../shared/captures is not there)',
  () => {
    test.each(['E-recommended', 'A-otlp-proto', 'A-otlp-json', 'D2-acks1'])(
      '%s through the rules comes out exact',
      async (name) => {
        const expected = join(SHARED, `expected-${name.replace(/-otlp-\w+$/, '')}.csv`);
        const { records } = collected(linesOf(join(SHARED, `${name}.jsonl.gz`)));
        expect(await usageCsv(records)).toBe(readFileSync(expected, 'utf8'));
      },
    );
  },
);
