/** Usage of an installation, once it is what its senders added up. */
import { usageOverHttp } from '../support/usage-over-http.ts';
import { until } from '../support/waiting.ts';
import type { Installation } from './installation.ts';
import type { Traffic } from './traffic.ts';

/** From the last sample until usage is complete. */
const SETTLE_MS = 240_000;
const DIFFERENCES_TOLD = 5;
const HOUR_MS = 3_600_000;

export interface CompleteUsage {
  /** As the API gives it. */
  readonly usage: readonly string[];
  /** In what it differs from what was sent, a few lines. */
  readonly problems: readonly string[];
}

/** Waits until it is the same, or for some minutes. */
export async function completeUsage(installation: Installation, traffic: Traffic): Promise<CompleteUsage> {
  const [first] = installation.parts.aggregators;
  const expected = traffic.usage();
  const range = rangeOf(traffic);
  const api = async (): Promise<string> => (await first?.address('API')) ?? '';
  const same = async (): Promise<readonly string[] | undefined> => {
    const usage = await usageOverHttp(await api(), range).catch(() => []);
    return usage.join('\n') === expected.join('\n') ? usage : undefined;
  };
  const usage =
    (await until('usage', same, { forMs: SETTLE_MS, everyMs: 1_000 }).catch(() => undefined)) ??
    (await usageOverHttp(await api(), range));
  return { usage, problems: differences('the pipeline', usage, expected) };
}

/** Lines that one has and the other has not. */
export function differences(name: string, found: readonly string[], expected: readonly string[]): string[] {
  const [has, wanted] = [new Set(found), new Set(expected)];
  const missing = expected.filter((line) => !has.has(line)).map((line) => `${name}: missing ${line}`);
  const surplus = found.filter((line) => !wanted.has(line)).map((line) => `${name}: surplus ${line}`);
  return [...missing.slice(0, DIFFERENCES_TOLD), ...surplus.slice(0, DIFFERENCES_TOLD)];
}

/** Of a question: all hours of the traffic. */
export function rangeOf({ plan, nodes }: Traffic): string {
  const from = new Date(plan.startMs - (plan.startMs % HOUR_MS)).toISOString();
  const lastMs = Math.max(...nodes.map((node) => node.dueMs));
  const to = new Date(lastMs - (lastMs % HOUR_MS) + HOUR_MS).toISOString();
  return `&from=${from}&to=${to}`;
}
