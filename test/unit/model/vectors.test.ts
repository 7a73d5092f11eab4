import { describe, expect, test } from 'vitest';
import { modelUsage, runModel, type ModelRow } from '../../model/model.ts';
import { loadVectors, VECTOR_SETTINGS, type VectorCase } from '../../vectors/vectors.ts';

const vectors = loadVectors();

function expectation(rows: readonly ModelRow[]): VectorCase['expected'] {
  const used = rows.filter(({ quantity }) => quantity !== 0n);
  return used.map(({ hour, tenant, cluster, namespace, meter, quantity }) => ({
    hour: new Date(hour).toISOString().replace('.000Z', 'Z'),
    tenant,
    cluster,
    namespace,
    meter,
    quantity: String(quantity),
  }));
}

/** What `counts` of the cases are called in the model's notes. */
const NOTES = {
  resets: ['reset_by_value', 'reset_by_start', 'reset_by_process_start'],
  births: ['birth_by_container_start'],
  unknown_origin: ['unknown_origin'],
  quarantined: ['quarantined'],
  conflicts: ['conflict'],
  rejected_nan: ['nan'],
  rejected_negative: ['negative'],
  rejected_inf: ['infinite'],
} as const;

test('no case was lost', () => {
  expect(vectors).toHaveLength(45);
  expect(new Set(vectors.map(({ name }) => name)).size).toBe(45);
});

describe.each(vectors)('$name', ({ records, settings, expected, counts }) => {
  const rows = modelUsage(records, settings);

  test('gives every expected row and no other, digit for digit', () => {
    expect(expectation(rows)).toEqual(expected);
  });

  test('quarters sum to the hour', () => {
    for (const { quarters, quantity } of rows) expect(quarters.reduce((a, b) => a + b)).toBe(quantity);
  });

  test('is the same whatever the order and the repetition of the records', () => {
    expect(modelUsage(records.toReversed(), settings)).toEqual(rows);
    expect(modelUsage([...records.slice(2), ...records, ...records.slice(0, 3)], settings)).toEqual(rows);
  });

  test('shows the evidence a reader of the rules would count', () => {
    const { notes } = runModel(records, settings);
    for (const [name, count] of Object.entries(counts)) {
      if (name === 'missing_ms') continue;
      const met = NOTES[name as keyof typeof NOTES].map((each) => notes.get(each) ?? 0);
      expect(met.reduce<number>((a, b) => a + b, 0)).toBe(count);
    }
    const missing = rows.reduce((sum, { missingMs }) => sum + missingMs, 0n);
    if (counts['missing_ms'] !== undefined) expect(missing).toBe(BigInt(counts['missing_ms']));
  });
});

test.each(vectors.filter(({ details }) => details.length > 0))(
  '$name: is broken down as expected',
  ({ records, settings, details }) => {
    const found = runModel(records, settings).details.map(({ hour, quarters, ...names }) => ({
      ...names,
      hour: new Date(hour).toISOString().replace('.000Z', 'Z'),
      quantity: String(quarters.reduce((a, b) => a + b)),
    }));
    expect(found).toHaveLength(details.length);
    expect(found).toEqual(expect.arrayContaining([...details]));
  },
);

test('a record that cannot be decoded changes nothing', () => {
  const [first] = vectors;
  const broken = { topic: 'usage', partition: 0, offset: 99n, timestampMs: 0, metricsData: null };
  const rows = modelUsage(first?.records ?? [], VECTOR_SETTINGS);
  expect(rows).not.toEqual([]);
  expect(modelUsage([broken, ...(first?.records ?? [])], VECTOR_SETTINGS)).toEqual(rows);
});
