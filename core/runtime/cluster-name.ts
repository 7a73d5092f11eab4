import { z } from 'zod';

import { MAX_CLUSTER } from '../metering/names.ts';

const PATTERN = new RegExp(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,${MAX_CLUSTER - 1}}$`);

/** Names a cluster's topic (`usage.<cluster>`), its tokens, and the label `cluster` of its samples. */
export const clusterNameSchema = z.string().regex(PATTERN, 'must be letters, digits, ".", "_" or "-"');
