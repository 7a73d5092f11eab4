/** What is on its way out says so in every answer: `Deprecation` (RFC 9745) and `Sunset` (RFC 8594). */
import type { Links } from './links.ts';
import { DAY_MS } from '../../../core/metering/hour.ts';

export interface DeprecationNotice {
  /** ISO date from which it should not be built upon. */
  readonly since: string;
  /** ISO date from which it may be gone; at least `NOTICE_DAYS` after `since`. */
  readonly sunset?: string;
  /** Path of what takes its place. */
  readonly successor?: string;
}

/** A year: gh0stplane and tenants' own tools are not released every week. */
export const NOTICE_DAYS = 365;

export function deprecationHeaders({ since, sunset }: DeprecationNotice): Readonly<Record<string, string>> {
  return {
    deprecation: `@${Date.parse(since) / 1000}`,
    ...(sunset !== undefined && { sunset: new Date(sunset).toUTCString() }),
  };
}

export function deprecationLinks({ successor }: DeprecationNotice): Links {
  return {
    deprecation: '/docs',
    ...(successor !== undefined && { 'successor-version': successor }),
  };
}

/** Whether whoever builds on it is given the time that is promised. */
export function isFair({ since, sunset }: DeprecationNotice): boolean {
  return sunset === undefined || Date.parse(sunset) - Date.parse(since) >= NOTICE_DAYS * DAY_MS;
}
