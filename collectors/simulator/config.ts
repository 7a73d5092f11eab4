/** A simulated cluster to scrape where there is none. */
import { z } from 'zod';
import { clusterNameSchema } from '../../core/runtime/cluster-name.ts';

export const simulatorSchema = z.strictObject({
  cluster: clusterNameSchema.default('demo'),
  /** The same seed and first moment make the same cluster. */
  seed: z.string().min(1).default('gh0stcloud'),
  nodes: z.int().min(1).max(1_000).default(3),
  /** The first two share a namespace that moves between them. */
  tenants: z.array(z.string().min(1)).min(2).default(['acme', 'globex', 'initech']).readonly(),
  host: z.string().min(1).default('127.0.0.1'),
  /** 0 takes any free port; a collector that is configured elsewhere needs to know it. */
  port: z.int().min(0).max(65_535).default(0),
  /** Scraped by this process as well, this often. Without it its pages are only served. */
  scrapeIntervalMs: z.int().min(100).max(3_600_000).optional(),
});

export type SimulatorRoleConfig = Readonly<z.output<typeof simulatorSchema>>;
