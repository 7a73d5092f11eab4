/** Entries as others see them: what a reader of the ledger alone makes of a closed month, against its statements. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCloses } from '../../aggregator/ledger/decisions.ts';
import { publicEntry, publicEntrySchema, type PublicEntry } from '../../aggregator/ledger/public-entry.ts';
import { readEntriesAfter } from '../../aggregator/ledger/read-entries.ts';
import { parseStatement } from '../../aggregator/ledger/statements/json.ts';
import { AccountsBench } from '../support/accounts.ts';
import type { TestStore } from '../support/chdb.ts';
import { ClosedMonth, DAY, NOVEMBER } from '../support/closed-month.ts';
import { openFastStore } from '../support/pipeline.ts';

let opened: TestStore;
let bench: AccountsBench;
beforeAll(async () => {
  opened = await openFastStore();
  bench = new AccountsBench(opened.store, ['north', 'south']);
  const month = new ClosedMonth();
  await month.playOn(bench);
  bench.declared = {
    ...bench.declared,
    erasures: [{ tenant: 'acme', through: '2026-10', reason: 'asked for' }],
  };
  await bench.erasure.enforce();
  await bench.take(month.untilDecember());
  await bench.passAt(NOVEMBER + 33 * DAY);
});
afterAll(() => opened.dispose());

/** Page by page, each entry once. */
async function everything(limit: number): Promise<readonly PublicEntry[]> {
  const entries: PublicEntry[] = [];
  for (let after = 0n; ;) {
    const page = await readEntriesAfter(opened.store, { after, limit });
    if (page.length === 0) return entries;
    entries.push(...page.map(publicEntry));
    after = page.at(-1)?.seq ?? after;
  }
}

/** What is billed of a period: the newest revision of each hour that was written before the close, and fixed corrections. */
function billed(entries: readonly PublicEntry[], period: string): Record<string, string> {
  const close = entries.findIndex(
    (entry) => entry.kind === 'period' && entry.period === period && entry.state === 'closed',
  );
  const hours = new Map<string, { line: string; quantity: bigint }>();
  for (const entry of entries.slice(0, close)) {
    if (entry.period !== period) continue;
    const isUsage = entry.kind === 'usage';
    if (!isUsage && (entry.kind !== 'correction' || !entry.final)) continue;
    const { tenant, meter, cluster, namespace, hour } = entry;
    const line = [tenant, meter, cluster, namespace, isUsage ? '' : hour].join();
    hours.set(`${line} ${hour}`, { line, quantity: BigInt(entry.quantity) });
  }
  const sums: Record<string, bigint> = {};
  for (const { line, quantity } of hours.values()) sums[line] = (sums[line] ?? 0n) + quantity;
  return Object.fromEntries(Object.entries(sums).map(([line, sum]) => [line, sum.toString()]));
}

async function statements(period: number): Promise<Record<string, string>> {
  const close = (await readCloses(opened.store)).find((one) => one.period === period);
  const rows = await opened.store.rows<{ body: string }>(
    'SELECT body FROM statement WHERE period = {period:UInt32} AND hash IN {hashes:Array(String)}',
    { period, hashes: close?.statements.map(([, hash]) => hash) ?? [] },
  );
  const lines: Record<string, string> = {};
  for (const { body } of rows) {
    const { tenant, ...statement } = parseStatement(body);
    for (const { meter, cluster, namespace, quantity } of statement.lines)
      lines[[tenant, meter, cluster, namespace, ''].join()] = quantity.toString();
    for (const { hour, meter, cluster, namespace, before, after } of statement.corrections) {
      const at = new Date(hour).toISOString().replace('.000Z', 'Z');
      lines[[tenant, meter, cluster, namespace, at].join()] = (after - before).toString();
    }
  }
  return lines;
}

describe('entries of the ledger as others see them', () => {
  test('are what the schema says, of every kind that there is', async () => {
    const entries = await everything(10_000);
    for (const entry of entries) expect(publicEntrySchema.parse(entry)).toEqual(entry);
    const kinds = new Set(
      entries.map((entry) => {
        if (entry.kind === 'correction') return `${entry.kind} ${entry.final ? 'final' : 'provisional'}`;
        return entry.kind === 'period' ? `${entry.kind} ${entry.state}` : entry.kind;
      }),
    );
    expect([...kinds].sort()).toEqual([
      ...['correction final', 'correction provisional', 'coverage', 'erasure'],
      ...['period closed', 'period open', 'period settling', 'usage'],
    ]);
    const usage = entries.find((entry) => entry.kind === 'usage' && entry.meter === 'cpu');
    expect(Object.keys(usage ?? {})).toEqual([
      ...['kind', 'id', 'seq', 'period', 'writtenAt', 'hour', 'cluster', 'meter', 'revision', 'ruleVersion'],
      ...[
        'tenant',
        'namespace',
        'unit',
        'quantity',
        'quarters',
        'missingMs',
        'samples',
        'flags',
        'flagNames',
      ],
      ...['coveredMs', 'expectedMs', 'inputHash'],
    ]);
    expect(usage).toMatchObject({
      unit: 'core-ns',
      hour: expect.stringMatching(/^2026-.*:00:00Z$/) as unknown,
    });
  });

  test.each([202610, 202611])('taken each once add up to the statements of %i', async (period) => {
    const name = `${Math.floor(period / 100)}-${period % 100}`;
    const expected = await statements(period);
    expect(Object.keys(expected).length).toBeGreaterThan(3);
    const nonZero = Object.entries(billed(await everything(10_000), name)).filter(([line, sum]) => {
      return sum !== '0' || line in expected;
    });
    expect(Object.fromEntries(nonZero)).toEqual(expected);
  });

  test('are the same in pages of whatever size, also where two share a place', async () => {
    const all = await everything(10_000);
    expect(await everything(Math.ceil(all.length / 5))).toEqual(all);
    await opened.store.command(
      `INSERT INTO ledger SELECT * REPLACE (unhex(repeat('ab', 16)) AS id) FROM ledger WHERE seq = 3`,
    );
    const first = await readEntriesAfter(opened.store, { after: 0n, limit: 3 });
    expect(first.map(({ seq }) => seq)).toEqual([1n, 2n, 3n, 3n]);
    expect(await readEntriesAfter(opened.store, { after: 3n, limit: 1 })).toMatchObject([{ seq: 4n }]);
  });
});
