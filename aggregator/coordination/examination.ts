/** Who writes the ledger of a store, as its lease says. */
import type { Clock } from '../../core/runtime/clock.ts';
import type { Finding } from '../../core/runtime/finding.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { Lease } from './lease.ts';
import { LEDGER_LEASE } from './writer.ts';

export async function examineLease(deps: {
  readonly store: UsageStore;
  readonly clock: Clock;
}): Promise<Finding> {
  const name = 'ledger writer';
  const nobody = { holder: '', lastsMs: 0, isAlone: false };
  const state = await new Lease({ name: LEDGER_LEASE, ...nobody }, deps).state();
  if (state === undefined) return { level: 'info', name, seen: 'nobody has written yet' };
  const { holder, epoch, leftMs, isLive, isReleased } = state;
  if (isLive) {
    return { level: 'ok', name, seen: `${holder}, epoch ${epoch}, for ${Math.ceil(leftMs / 1_000)} s more` };
  }
  if (isReleased) return { level: 'info', name, seen: `nobody now; ${holder} stopped, epoch ${epoch}` };
  const seen = `nobody now; ${holder} was not heard of for longer than its lease, epoch ${epoch}`;
  return { level: 'warn', name, seen, advice: 'start an aggregator, unless it is meant to stand still' };
}
