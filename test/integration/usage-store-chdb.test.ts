import { describe } from 'vitest';
import { openEmptyStore } from '../support/chdb.ts';
import { usageStoreContract } from './usage-store.contract.ts';

describe('the embedded store', () => {
  usageStoreContract(openEmptyStore);
});
