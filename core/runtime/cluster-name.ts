import { z } from 'zod';

/** Names a cluster's topic (`usage.<cluster>`), its tokens, and the label `cluster` of its samples. */
export const clusterNameSchema = z
  .string()
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,199}$/, 'must be letters, digits, ".", "_" or "-"');
