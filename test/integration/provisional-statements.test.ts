import { afterAll, beforeAll, expect, test } from 'vitest';

import { StorePeriodsReader, type FoundStatement } from '../../aggregator/api/statements/periods-reader.ts';
import { AccountsBench } from '../support/accounts.ts';
import type { TestStore } from '../support/chdb.ts';
import { ClosedMonth, DAY, FIRST_DAY, NOVEMBER } from '../support/closed-month.ts';
import { openFastStore } from '../support/pipeline.ts';

const CONFIG = { queryTimeoutMs: 10_000, maxStatementBytes: 1024 * 1024 };
const TENANTS = ['acme', 'globex', 'initech', 'nobody'];
const PERIODS = [202610, 202611, 202612];

let opened: TestStore;

beforeAll(async () => {
  opened = await openFastStore();
});

afterAll(async () => {
  await opened.dispose();
});

type Told = Readonly<Record<string, unknown>>;

/** `reader` of each statement: one that has told others, or one that has told nobody. */
async function told(reader: () => StorePeriodsReader): Promise<Told> {
  const statements: [string, unknown][] = [];
  for (const period of PERIODS) {
    for (const tenant of TENANTS) {
      const wanted = { period, tenant, format: 'json' as const };
      statements.push([`${period} ${tenant}`, shown(await reader().statement({ kind: 'all' }, wanted))]);
    }
  }
  return Object.fromEntries(statements);
}

function shown(found: FoundStatement | undefined): unknown {
  return found?.kind === 'closed' ? found.etag : (found ?? 'none');
}

test('what is remembered of a statement is what the store says now, whatever has come in', async () => {
  const { store } = opened;
  const bench = new AccountsBench(store, ['north', 'south']);
  const month = new ClosedMonth();
  const remembering = new StorePeriodsReader(CONFIG, { store });
  let before = await told(() => remembering);
  const steps: readonly (readonly [what: string, step: () => Promise<void>])[] = [
    ['October comes in', () => bench.take(month.october())],
    ['its first hours are settled', () => bench.passAt(FIRST_DAY + DAY)],
    ['late samples come in', () => bench.take(month.late())],
    ['November comes in', () => bench.take(month.november())],
    ['October is closed', () => bench.passAt(NOVEMBER + 4 * DAY)],
    ['later ones come in', () => bench.take(month.afterTheClose())],
    ['corrections are settled', () => bench.passAt(NOVEMBER + 12 * DAY)],
    ['the rest of November comes in', () => bench.take(month.untilDecember())],
    ['it settles', () => bench.passAt(NOVEMBER + 31 * DAY)],
    ['it is closed', () => bench.passAt(NOVEMBER + 33 * DAY)],
  ];
  const changed: string[] = [];
  for (const [what, step] of steps) {
    await step();
    const after = await told(() => remembering);
    expect(after, what).toEqual(await told(() => new StorePeriodsReader(CONFIG, { store })));
    if (JSON.stringify(after, textOf) !== JSON.stringify(before, textOf)) changed.push(what);
    before = after;
  }
  expect(changed).toEqual(steps.map(([what]) => what).filter((what) => !what.endsWith(' in')));
});

function textOf(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
