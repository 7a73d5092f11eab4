/** An explanation for people: the number first, then how it is made, indented. */
import { meterNamed } from '../../../core/metering/catalogue.ts';
import { decimalText, toBillionths } from '../statements/presented.ts';
import type {
  Amount,
  Evidence,
  Explanation,
  IntervalExplanation,
  KeyExplanation,
  SampleExplanation,
  SeriesExplanation,
} from './explanation.ts';
import { RULE_TEXTS } from './rules.ts';

export function renderExplanation(explanation: Explanation): string {
  const { atClose, keys, intervals, reservations } = explanation;
  const hidden = intervals.total - intervals.shown;
  return [
    headline(explanation),
    `  by quarter: ${quartersText(explanation)}${missingText(explanation)}`,
    ...(atClose === undefined ? [] : [closeLine(explanation, atClose)]),
    verdict(explanation),
    ...reservations.map((line) => `  Mind: ${line}.`),
    ...(keys.length === 0 ? ['  Nothing is known of it.'] : []),
    ...keys.flatMap((key) => keyLines(key, explanation.hour.slice(0, 10))),
    ...(hidden > 0
      ? ['', `${grouped(hidden)} of ${grouped(intervals.total)} intervals are not shown; all are in the sum.`]
      : []),
    '',
  ].join('\n');
}

function headline({ meter, unit, hour, asked, state, quantity }: Explanation): string {
  const whose = [
    ...(asked.tenant === undefined ? [] : [`of ${asked.tenant}`]),
    ...(asked.cluster === undefined ? [] : [`in ${asked.cluster}`]),
    ...(asked.namespace === undefined ? [] : [`namespace ${asked.namespace}`]),
  ].join(' ');
  const head = [meter, whose, `in the hour from ${hour.replace(':00.000Z', 'Z')}`].filter(Boolean).join(' ');
  return `${head}: ${grouped(quantity)} ${unit}${presentedText(meter, quantity)}, ${state}`;
}

function presentedText(name: string, quantity: string): string {
  const meter = meterNamed(name);
  if (meter === undefined) return '';
  const { unit } = meter.presented;
  return ` = ${decimalText(toBillionths(BigInt(quantity), meter))} ${unit === 'GiB' ? unit : `${unit}s`}`;
}

function closeLine({ quantity }: Amount, atClose: Amount & { readonly period: string }): string {
  const change = BigInt(quantity) - BigInt(atClose.quantity);
  const since =
    change === 0n ? 'unchanged since' : `${change > 0n ? '+' : ''}${grouped(change)} since, as a correction`;
  return `  billed at the close of ${atClose.period}: ${grouped(atClose.quantity)}, ${since}`;
}

function verdict({ sum, equal }: Explanation): string {
  return equal
    ? `  sum of its parts: ${grouped(sum.quantity)}, equal quarter by quarter`
    : `  sum of its parts: ${grouped(sum.quantity)} (${quartersText(sum)}${missingText(sum)}): NOT EQUAL`;
}

function keyLines(key: KeyExplanation, day: string): string[] {
  const { cluster, tenant, namespace, quantity, samples, flags, coverage, revision, equal, sum } = key;
  const facts = [
    `${grouped(samples)} ${samples === '1' ? 'sample' : 'samples'}`,
    ...(flags.length > 0 ? [`flags ${flags.join(' ')}`] : []),
    ...(coverage === undefined
      ? []
      : [`covered ${grouped(coverage.coveredMs)} of ${grouped(coverage.expectedMs)} ms`]),
    ...(revision === undefined ? ['not in the ledger'] : [`revision ${revision}`]),
  ].join(', ');
  const whose = `cluster ${cluster}, namespace ${namespace}, tenant ${tenant}`;
  return [
    '',
    `${whose}: ${grouped(quantity)}${missingText(key)} (${facts})`,
    ...(equal
      ? []
      : [`  its parts give ${grouped(sum.quantity)} (${quartersText(sum)}${missingText(sum)}): NOT EQUAL`]),
    ...key.withoutSamples.map(
      (part) => `  unit ${part.unitHour}, past its retention: ${grouped(part.quantity)}${missingText(part)}`,
    ),
    ...key.series.flatMap((series) => seriesLines(series, day)),
    ...(key.seriesNotShown > 0 ? [`  and ${grouped(key.seriesNotShown)} series that are not shown`] : []),
  ];
}

function seriesLines(series: SeriesExplanation, day: string): string[] {
  const { metric, labels, quantity, intervals, intervalsNotShown } = series;
  const text = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return [
    `  ${metric}{${text.join(', ')}}: ${grouped(quantity)}${missingText(series)}`,
    ...intervals.flatMap((interval) => intervalLines(interval, day)),
    ...(intervalsNotShown > 0 ? [`    and ${grouped(intervalsNotShown)} intervals that are not shown`] : []),
  ];
}

/** Instants of the hour's own day are told without the day. */
function intervalLines(interval: IntervalExplanation, day: string): string[] {
  const { from, to, quantity, rule, before, at, missing, flags, evidence } = interval;
  const time = (t: string): string => clockText(t, day);
  const told = Object.entries(evidence) as [keyof Evidence, string][];
  const flagged = flags.length > 0 ? ` [${flags.join(' ')}]` : '';
  const place = from === to ? `at ${time(to)}` : `${time(from)} -> ${time(to)}`;
  return [
    `    ${place}: ${grouped(quantity)}, ${RULE_TEXTS[rule]}${flagged}`,
    ...shareLines(interval),
    ...(missing === undefined ? [] : [`      not held ${time(missing.from)} -> ${time(missing.to)}`]),
    ...(told.length === 0
      ? []
      : [`      ${told.map(([name, t]) => `${EVIDENCE[name]} ${time(t)}`).join(', ')}`]),
    ...(before === undefined ? [] : [`      ${sampleLine(before, time)}`]),
    `      ${sampleLine(at, time)}`,
  ];
}

const EVIDENCE: Readonly<Record<keyof Evidence, string>> = {
  meteringFrom: 'metered since',
  absentAt: 'last scraped without it at',
  containerStart: 'container started',
  processStart: 'process started',
};

/** Nothing where the whole interval lies in one quarter of the hour. */
function shareLines({ quantity, share }: IntervalExplanation): string[] {
  const isPlain = share.quantity === quantity && share.missingMs === '0' && share.quarters.includes(quantity);
  return isPlain
    ? []
    : [`      here ${grouped(share.quantity)}: ${quartersText(share)}${missingText(share)}`];
}

function clockText(t: string, day: string): string {
  const short = t.replace(/(:00)?\.000Z$|Z$/, '');
  return t.startsWith(day) ? short.slice(day.length + 1) : short;
}

function sampleLine(sample: SampleExplanation, time: (t: string) => string): string {
  const { t, value, start, baseline, podEnded, log } = sample;
  return [
    `${value === 'stale' ? value : grouped(value)} at ${time(t)}`,
    ...(start === undefined ? [] : [`start ${time(start)}`]),
    ...(baseline === undefined ? [] : [`measured from ${grouped(baseline)}`]),
    ...(podEnded === undefined ? [] : ['its pod had ended']),
    log === undefined ? 'past its retention' : `log ${log.topic}/${log.partition} offset ${log.offset}`,
  ].join(', ');
}

function quartersText({ quarters }: Amount): string {
  return quarters.map(grouped).join(' | ');
}

function missingText({ missingMs }: Pick<Amount, 'missingMs'>): string {
  return missingMs === '0' ? '' : `, ${grouped(missingMs)} ms missing`;
}

function grouped(value: string | number | bigint): string {
  return (typeof value === 'number' ? value : BigInt(value)).toLocaleString('en-US');
}
