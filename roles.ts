/**
 * What each role is told, in one file, and what follows from it. Input: a file, and variables over it.
 * Output: settings, checked as a whole.
 */
import { z } from 'zod';
import { apiRoleSchema, apiSchema, opsSchema } from './aggregator/api/config.ts';
import { aggregatorSchema } from './aggregator/config.ts';
import { storeSchema } from './aggregator/store/config.ts';
import { collectorSchema } from './collectors/collector.ts';
import { kafkaLogSchema } from './core/eventlog/kafka.ts';
import { usageTopic } from './core/eventlog/usage-topic.ts';
import { loadConfig, mergeConfig, readConfigFile, readEnvironment, textsAs } from './core/runtime/config.ts';

/** Every role takes those of its sections. */
export const roleSchemas = {
  collector: collectorSchema.extend({ kafka: kafkaLogSchema, ops: opsSchema.prefault({}) }),
  aggregator: aggregatorSchema.extend({
    kafka: kafkaLogSchema,
    store: storeSchema,
    api: apiSchema.optional(),
    ops: opsSchema.prefault({}),
  }),
  api: apiRoleSchema.extend({ store: storeSchema }),
} as const;

/** Of whatever role: the sections that name clusters. */
export const topicsSchema = z.looseObject({
  kafka: kafkaLogSchema,
  clusters: aggregatorSchema.shape.clusters.optional(),
  ledgerTopic: aggregatorSchema.shape.ledgerTopic,
  ...collectorSchema.shape,
});

export type RoleName = keyof typeof roleSchemas;

/** Of whom a file tells: an aggregator names clusters, and an API has no log. */
export function roleNameOf(path: string): RoleName {
  const values = mergeConfig(readConfigFile(path), readEnvironment());
  if ('clusters' in values) return 'aggregator';
  return 'kafka' in values ? 'collector' : 'api';
}

/** A file's settings, with the environment's over them: secrets come from there, or from mounted files. */
export function roleSettings<S extends z.ZodType>(schema: S, path: string): z.output<S> {
  const values = mergeConfig(readConfigFile(path), textsAs(schema, readEnvironment()));
  return loadConfig(schema, { name: path, values });
}

interface NamingClusters {
  readonly clusters?: readonly string[] | undefined;
  readonly receiver?: { readonly clusters: Readonly<Record<string, unknown>> } | undefined;
  readonly scrape?: { readonly cluster: string } | undefined;
  readonly simulator?: { readonly cluster: string } | undefined;
}

/** Of the clusters that a role's sections name. */
export function topicsOf({ clusters = [], receiver, scrape, simulator }: NamingClusters): readonly string[] {
  const collected = [...Object.keys(receiver?.clusters ?? {}), scrape?.cluster, simulator?.cluster];
  return [...new Set([...clusters, ...collected.filter((name) => name !== undefined)])].map(usageTopic);
}

export function ledgerTopicsOf(ledgerTopic: { readonly name: string } | undefined): readonly string[] {
  return ledgerTopic === undefined ? [] : [ledgerTopic.name];
}
