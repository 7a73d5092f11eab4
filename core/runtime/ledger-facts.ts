import { debug, error, warn } from './fact-definition.ts';

/** What the publisher of the ledger says. */
export const ledgerFacts = {
  ledgerPublished: debug<{ topic: string; entries: number }>('ledger entries published').counter(
    'gh0stmeter_ledger_published_entries_total',
    'Ledger entries appended to the topic, repeats included',
    { field: 'entries', labels: ['topic'] },
  ),
  ledgerUnpublished: debug<{ topic: string; entries: number }>('ledger entries to publish').gauge(
    'gh0stmeter_ledger_unpublished_entries_number',
    'Ledger entries that were not in the topic yet when it was last looked',
    { field: 'entries', labels: ['topic'] },
  ),
  ledgerPublishedAgain: warn<{ topic: string; from: bigint; to: bigint; entries: bigint }>(
    'ledger entries came to light below what was published; it is published again from before them',
  ).counter(
    'gh0stmeter_ledger_republications_total',
    'Times a stretch of the ledger was published once more',
    { labels: ['topic'] },
  ),
  ledgerNotPublished: error<{ topic: string; error: unknown }>(
    'the ledger could not be published; it is tried again',
    'ledger-not-published',
  ).counter('gh0stmeter_ledger_publication_failures_total', 'Times publishing the ledger failed', {
    labels: ['topic'],
  }),
};
