/** How far a group is behind a topic, of what the brokers say. */
import type { Finding } from '../../runtime/finding.ts';
import type { Bounds } from './admin.ts';

export function lagFinding(
  name: string,
  { bounds, committed }: { bounds: readonly Bounds[]; committed: ReadonlyMap<number, bigint> },
): Finding {
  const at = bounds.map(({ partition, low, high }) => ({
    partition,
    low,
    high,
    next: committed.get(partition),
  }));
  const ahead = at.filter(({ next, high }) => next !== undefined && next > high);
  if (ahead.length > 0) {
    const why = 'records are lost, or the topic was made anew';
    const seen = `the group is beyond the end of ${listOf(ahead)}: ${why}`;
    return { level: 'fail', name, seen, advice: 'docs/runbooks/log-behind-store.md' };
  }
  const skipped = at.filter(({ next, low }) => next !== undefined && next < low);
  if (skipped.length > 0) {
    const seen = `the group is behind the oldest record of ${listOf(skipped)}: retention was faster`;
    return { level: 'fail', name, seen, advice: 'docs/runbooks/log-records-lost.md' };
  }
  const unread = at.filter(({ next }) => next === undefined).length;
  const waiting = at.reduce((sum, { next, low, high }) => sum + high - (next ?? low), 0n);
  const none = unread === 0 ? '' : `; nothing is committed yet for ${unread} of ${at.length} partitions`;
  return { level: 'info', name, seen: `${waiting} records wait to be read${none}` };
}

function listOf(partitions: readonly { readonly partition: number }[]): string {
  return `partition ${partitions.map(({ partition }) => partition).join(', ')}`;
}
