import type { FactSink } from '../../core/runtime/facts.ts';

/** Why a scrape gave nothing; `up` is 0 then. */
export type ScrapeFailureReason =
  | 'credentials'
  | 'connection'
  | 'timeout'
  | 'http_status'
  | 'content_type'
  | 'encoding'
  | 'body_too_large'
  | 'unparsable'
  | 'too_many_samples';

/** Why the time of a scrape passed without one. */
export type SkipReason = 'late' | 'buffer_full';

/** Why records never reached the log. */
export type LossReason = 'refused' | 'shutdown';

/** The facts this stage states; who wires it makes log lines and metrics of them. */
export interface ScrapeTelemetry {
  scrapeDone(fact: { target: string; samples: number; durationMs: number }): void;
  scrapeFailed(fact: { target: string; reason: ScrapeFailureReason; error: unknown }): void;
  /** Samples of a scrape that repeat a series and time; the first one stays. */
  scrapeDuplicates(fact: { target: string; count: number }): void;
  scrapesSkipped(fact: { target: string; reason: SkipReason; count: number }): void;
  recordsAppended(fact: { topic: string; records: number; bytes: number; durationMs: number }): void;
  /** The log did not take records; they stay buffered and are tried again. */
  appendFailed(fact: { topic: string; records: number; bufferedBytes: number; error: unknown }): void;
  /** Usage may be wrong: samples that were read are gone. */
  recordsLost(fact: { topic: string; records: number; reason: LossReason; error: unknown }): void;
}

/** Each as the fact of the same name. */
export function factsOfScraping(facts: FactSink): ScrapeTelemetry {
  return {
    scrapeDone: (fact) => facts.event('scrapeDone', fact),
    scrapeFailed: (fact) => facts.event('scrapeFailed', fact),
    scrapeDuplicates: (fact) => facts.event('scrapeDuplicates', fact),
    scrapesSkipped: (fact) => facts.event('scrapesSkipped', fact),
    recordsAppended: (fact) => facts.event('recordsAppended', fact),
    appendFailed: (fact) => facts.event('appendFailed', fact),
    recordsLost: (fact) => facts.event('recordsLost', fact),
  };
}
