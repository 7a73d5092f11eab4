/** A reader of a store in which nothing was ever metered. */
import { Versions } from '../../aggregator/api/usage/versions.ts';
import type { UsageReader } from '../../aggregator/api/usage-reader.ts';

export const NOBODYS_USAGE: UsageReader = {
  standing: async () => ({
    ...{ open: [], unsure: [], versions: new Versions([]), closedBefore: 0 },
    ...{ states: new Map(), watermarks: new Map() },
  }),
  usage: async () => [],
  usedHours: async () => [],
  groups: async () => [],
  coverage: async () => [],
};
