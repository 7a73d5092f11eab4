/** Usage as the roll-up leaves it, written by hand, and an API of the machine's operator over it. */
import { readersOf } from '../../aggregator/api/readers.ts';
import { createApi, type Api } from '../../aggregator/api/server.ts';
import { usageReader } from '../../aggregator/api/usage/remembering-reader.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { checkAnswers } from './checked-answers.ts';

/** What a unit gave to an hour; `unit` is that hour and `cluster` is north unless told. */
export interface RolledPart {
  readonly cluster?: string;
  readonly unit?: string;
  readonly hour: string;
  readonly tenant: string;
  readonly namespace?: string;
  readonly meter?: string;
  readonly quarters: readonly [bigint, bigint, bigint, bigint];
  readonly version?: number;
}

export function seconds(text: string): number {
  return Date.parse(text) / 1000;
}

export function partRow(part: RolledPart): Record<string, unknown> {
  const [q0, q1, q2, q3] = part.quarters;
  return {
    cluster: part.cluster ?? 'north',
    unit: seconds(part.unit ?? part.hour),
    hour: seconds(part.hour),
    tenant: part.tenant,
    namespace: part.namespace ?? `${part.tenant}-web`,
    meter: part.meter ?? 'cpu',
    ...{ q0, q1, q2, q3 },
    ...{ missing_ms: 0, samples: 4, flags: 0, version: part.version ?? 1 },
  };
}

/** As the roll-up marks the hours that it gives something to. */
export async function markOpen(store: UsageStore, parts: readonly RolledPart[]): Promise<void> {
  await store.insert(
    'hour_mark',
    parts.map(({ cluster = 'north', hour }) => ({ cluster, hour: seconds(hour), source: 'test', marked: 1 })),
  );
}

export function apiOver(store: UsageStore, nowMs: number): Api {
  const api = createApi(
    { port: 0, requestTimeoutMs: 5_000, answerTimeoutMs: 20_000, checkTimeoutMs: 1_000 },
    {
      clock: { now: () => nowMs, sleep: async () => undefined },
      facts: { event: () => undefined },
      reader: usageReader({ queryTimeoutMs: 10_000 }, { store }),
      ...readersOf({ queryTimeoutMs: 10_000 }, { store }),
      checks: [],
      metricsText: async () => '',
    },
  );
  checkAnswers(api.app);
  return api;
}
