/** Which ClickHouse holds the store: a server, or one in this process. */
import { z } from 'zod';
import { secretSchema } from '../../core/runtime/secret.ts';

const MIB = 1024 ** 2;

export const storeSchema = z
  .strictObject({
    /** A server, such as `https://clickhouse.metering.svc:8443`: what several processes share. */
    url: z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }).optional(),
    username: z.string().min(1).optional(),
    password: secretSchema.optional(),
    /** Made when it is missing. */
    database: z.string().min(1).default('metering'),
    /** In place of a server: where ClickHouse in this process keeps its files, for one process at a time. */
    directory: z.string().min(1).optional(),
    /** What one statement of ClickHouse in this process may take. */
    maxMemoryBytes: z
      .int()
      .min(64 * MIB)
      .default(2048 * MIB),
  })
  .refine(({ url, directory }) => (url === undefined) !== (directory === undefined), {
    path: ['url'],
    message: 'set either url (a server) or directory (ClickHouse in this process)',
  });

export type StoreConfig = Readonly<z.output<typeof storeSchema>>;
