/**
 * Some of the series of a cluster, for who folds less than a unit: one meter, and of it some namespaces. As
 * conditions on `samples`, with values that are bound.
 */
import type { Parameters } from '../store/usage-store.ts';
import { IN_SPAN, spanParameters, type Span } from './span.ts';

export interface SeriesChoice {
  readonly meter: string;
  /** Undefined: all. */
  readonly namespaces?: readonly string[] | undefined;
}

/** `IN_SPAN` of `samples`, of these series alone; it takes `samplesParameters`. */
export function samplesIn(only: SeriesChoice | undefined): string {
  return [IN_SPAN, ...choiceConditions(only)].join(' AND ');
}

/** On `samples` of one {cluster}. */
export function choiceConditions(only: SeriesChoice | undefined): string[] {
  if (only === undefined) return [];
  const ofMeter = 'meter = {onlyMeter:String}';
  if (only.namespaces === undefined) return [ofMeter];
  return [
    ofMeter,
    `series IN (SELECT series FROM series
      WHERE cluster = {cluster:String} AND ${ofMeter} AND namespace IN {onlyNamespaces:Array(String)})`,
  ];
}

export function choiceParameters(only: SeriesChoice | undefined): Parameters {
  if (only === undefined) return {};
  const { meter: onlyMeter, namespaces: onlyNamespaces } = only;
  return { onlyMeter, ...(onlyNamespaces !== undefined && { onlyNamespaces }) };
}

export function samplesParameters(span: Span, only: SeriesChoice | undefined): Parameters {
  return { ...spanParameters(span), ...choiceParameters(only) };
}
