import { afterAll, beforeAll, expect, test } from 'vitest';

import type { TenantScope } from '../../aggregator/api/identity/access.ts';
import { RememberingReader } from '../../aggregator/api/usage/remembering-reader.ts';
import type { SumsKey, SumsRequest, SumsRow } from '../../aggregator/api/usage/sums.ts';
import { VersionReader } from '../../aggregator/api/usage/versions.ts';
import { StoreUsageReader, type UsageRequest, type UsageSum } from '../../aggregator/api/usage-reader.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import { windowsBetween } from '../../core/metering/windows.ts';
import { openTestStore, type TestStore } from '../support/chdb.ts';
import { markOpen, partRow, type RolledPart } from '../support/rolled-usage.ts';

/** Five days of one tenant with much to tell, and one of whom there is a row on the last day alone. */
const DAYS = ['2026-10-01', '2026-10-02', '2026-10-03', '2026-10-04', '2026-10-05'];
const PARTS: readonly RolledPart[] = [
  ...DAYS.flatMap((day) =>
    ['a', 'b', 'c', 'd', 'e'].map((namespace) => ({
      ...{ hour: `${day}T09:00:00Z`, tenant: 'acme', namespace },
      quarters: [1n, 2n, 3n, 4n] as const,
    })),
  ),
  { hour: '2026-10-05T09:00:00Z', tenant: 'globex', quarters: [7n, 0n, 0n, 0n] },
];
const CONFIG = { queryTimeoutMs: 10_000 };

let testStore: TestStore;

beforeAll(async () => {
  testStore = await openTestStore();
  await testStore.store.insert('usage_parts', PARTS.map(partRow));
  await markOpen(testStore.store, PARTS);
});

afterAll(async () => {
  await testStore.dispose();
});

/** Asked at once: the first is read alone, the others together. */
async function askedAtOnce(
  reader: StoreUsageReader,
  tenants: readonly string[],
): Promise<readonly PromiseSettledResult<readonly UsageSum[]>[]> {
  const versions = new VersionReader(testStore.store, { timeoutMs: 10_000 });
  // Open hours of everybody are too many to it.
  const remembering = new RememberingReader(reader, versions, 1);
  const request = { ...QUESTION, standing: await remembering.standing({ kind: 'all' }) };
  return await Promise.allSettled(tenants.map((tenant) => remembering.usage(scopeOf(tenant), request)));
}

const QUESTION: Omit<UsageRequest, 'standing'> = {
  meter: 'cpu',
  windows: windowsBetween(Date.UTC(2026, 9, 1), Date.UTC(2026, 9, 6), 'DAY', 'UTC'),
  groupBy: ['namespace'],
  filters: {},
  limit: 6,
};

function scopeOf(tenant: string): TenantScope {
  return { kind: 'tenants', tenants: [tenant] };
}

test('who asks beside somebody with more rows than the limit has every row of their own', async () => {
  const reader = new StoreUsageReader(CONFIG, testStore);
  const standing = await reader.standing({ kind: 'all' });
  const tenants = ['nobody', 'acme', 'globex'];
  const answers = await askedAtOnce(reader, tenants);
  for (const [i, tenant] of tenants.entries()) {
    const alone = await reader.usage(scopeOf(tenant), { ...QUESTION, standing });
    expect(answers[i], tenant).toEqual({ status: 'fulfilled', value: alone });
    expect(alone.length).toBe({ nobody: 0, acme: 6, globex: 1 }[tenant]);
  }
});

/** Gives up where rows of acme are read. */
class ReaderOfLittle extends StoreUsageReader {
  override async sums<Key extends SumsKey>(
    scope: TenantScope,
    request: SumsRequest<Key>,
  ): Promise<readonly SumsRow<Key>[]> {
    if (scope.kind === 'tenants' && scope.tenants.includes('acme'))
      throw new MeteringError('METER_QUERY_TIMEOUT', 'too much is read');
    return await super.sums(scope, request);
  }
}

test('who asks beside somebody whose question takes too long is answered', async () => {
  const reader = new ReaderOfLittle(CONFIG, testStore);
  const [nobody, acme, globex] = await askedAtOnce(reader, ['nobody', 'acme', 'globex']);
  expect(nobody).toEqual({ status: 'fulfilled', value: [] });
  expect(acme).toMatchObject({ status: 'rejected', reason: { code: 'METER_QUERY_TIMEOUT' } });
  expect(globex).toMatchObject({ status: 'fulfilled', value: [{ value: 7n }] });
});
