import { setTimeout as sleep } from 'node:timers/promises';
import type { ScrapeTelemetry } from '../../collectors/scrape/telemetry.ts';

type FactName = keyof ScrapeTelemetry;
type Fact<N extends FactName> = Parameters<ScrapeTelemetry[N]>[0];

const NAMES: readonly FactName[] = [
  'scrapeDone',
  'scrapeFailed',
  'scrapeDuplicates',
  'scrapesSkipped',
  'recordsAppended',
  'appendFailed',
  'recordsLost',
];

/** Keeps every fact that is stated, in order. */
export function recordedFacts() {
  const stated: { readonly name: FactName; readonly fact: unknown }[] = [];
  const entries = NAMES.map((name) => [name, (fact: unknown) => void stated.push({ name, fact })]);
  const of = <N extends FactName>(name: N) =>
    stated.filter((one) => one.name === name).map((one) => one.fact as Fact<N>);
  return {
    telemetry: Object.fromEntries(entries) as ScrapeTelemetry,
    of,
    /** Waits until a fact was stated so many times; the test's own time limit is the end of waiting. */
    async until(name: FactName, count: number): Promise<void> {
      while (of(name).length < count) await sleep(5);
    },
  };
}
