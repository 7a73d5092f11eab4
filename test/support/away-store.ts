/** A store that is away, as seen through the port: whatever is asked of it fails as it does then. */
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { MeteringError } from '../../core/runtime/errors.ts';

async function away(): Promise<never> {
  throw new MeteringError('METER_STORE_UNAVAILABLE', 'the store is away', { retryable: true });
}

export const AWAY_STORE: UsageStore = {
  rows: away,
  rowBinary: async function* () {
    yield await away();
  },
  command: away,
  insert: away,
  insertBlock: away,
  close: async () => undefined,
};
