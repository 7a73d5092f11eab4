/**
 * What a real Alloy put into Kafka, put into Kafka again: the aggregator makes of it what `metering replay`
 * makes of the file, and what is written beside the file.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import kafkajs from 'kafkajs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { KafkaLog, kafkaLogSchema } from '../../core/eventlog/kafka.ts';
import { usageTopic } from '../../core/eventlog/usage-topic.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { loadConfig } from '../../core/runtime/config.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { decodePublished, publishedMetricsData } from '../support/published-otlp.ts';
import { Role } from '../support/role.ts';
import { usageOverHttp, usageReplayed } from '../support/usage-over-http.ts';
import { until } from '../support/waiting.ts';
import { captures, linesOf } from '../vectors/captures/expect.ts';
import { metering, ROOT } from './program.ts';

const SHARED = join(ROOT, '../shared/captures');
const CLUSTER = 'rt1';
const TOPIC = usageTopic(CLUSTER);
/** Captures were made on a day of November 2026, and stay that old. */
const RANGE = '&from=2026-11-22T00:00:00Z&to=2026-11-23T00:00:00Z';
const TEN_YEARS_MS = 3_650 * 86_400_000;
const clock = new SystemClock();

interface Line {
  readonly partition: number;
  readonly timestamp: string;
  readonly key: string | null;
  readonly value: string;
}

interface Given {
  readonly name: string;
  readonly lines: readonly string[];
  readonly figures: string;
}

function committed(): Given[] {
  return captures().map(({ file, lines, expectedFile }) => ({
    name: basename(file),
    lines,
    figures: readFileSync(expectedFile, 'utf8'),
  }));
}

function long(): Given[] {
  if (!existsSync(SHARED)) return [];
  const names = readdirSync(SHARED).filter((name) => name.endsWith('.jsonl.gz'));
  return names.sort().map((name) => {
    const csv = `expected-${name.replace(/(-otlp-\w+)?\.jsonl\.gz$/, '')}.csv`;
    const figures = readFileSync(join(SHARED, csv), 'utf8');
    return { name, lines: linesOf(join(SHARED, name)), figures };
  });
}

/**
 * On a topic every sample has to say whose it is. One of the captures was made without that: it is said in
 * each resource, and the figures are those of the file under this name.
 */
function named({ name, lines, figures }: Given): Given {
  const [, first = ''] = figures.split('\n');
  if (first.split(',')[2] !== '') return { name, lines, figures };
  const attribute = { key: 'k8s.cluster.name', value: { stringValue: CLUSTER } };
  const naming = (line: string): string => {
    const record = JSON.parse(line) as Line;
    const data = decodePublished(Buffer.from(record.value, 'base64')) as {
      resourceMetrics: { resource: { attributes: unknown[] } }[];
    };
    for (const { resource } of data.resourceMetrics) resource.attributes.push(attribute);
    const value = publishedMetricsData.encode(publishedMetricsData.fromObject(data)).finish();
    return JSON.stringify({ ...record, value: Buffer.from(value).toString('base64') });
  };
  const labelled = figures.replaceAll(/^([^,]+,[^,]+),,/gm, `$1,${CLUSTER},`);
  return { name, lines: lines.map(naming), figures: labelled };
}

const missing = missingForKafka();

describe.skipIf(missing !== undefined)(`over a broker${missing === undefined ? '' : `: ${missing}`}`, () => {
  let broker: KafkaBroker;
  let directory: string;
  let log: KafkaLog;
  beforeAll(async () => {
    broker = await KafkaBroker.start();
    directory = await mkdtemp(join(tmpdir(), 'metering-captures-'));
    const config = loadConfig(kafkaLogSchema, { name: 'the test', values: kafka('nobody') });
    log = new KafkaLog(config, { clock, facts: { event: () => undefined } });
  }, 120_000);
  afterEach(() => Role.killAll());
  afterAll(async () => {
    await log.close();
    await broker.stop();
    await rm(directory, { recursive: true });
  });

  const kafka = (groupId: string): Record<string, unknown> => ({
    brokers: [broker.address],
    groupId,
    topics: { partitions: 3, replicationFactor: 1, minInsyncReplicas: 1, retentionMs: TEN_YEARS_MS },
  });

  /** An empty topic of that name, whatever was in it before. */
  async function emptyTopic(): Promise<void> {
    const admin = new kafkajs.Kafka({
      brokers: [broker.address],
      logLevel: kafkajs.logLevel.NOTHING,
    }).admin();
    await admin.connect();
    try {
      const isThere = async (): Promise<boolean> => (await admin.listTopics()).includes(TOPIC);
      if (await isThere()) await admin.deleteTopics({ topics: [TOPIC] });
      await until('the topic is gone', async () => ((await isThere()) ? undefined : true));
    } finally {
      await admin.disconnect();
    }
    await log.ensureTopics([TOPIC]);
  }

  async function through({ lines }: Given, group: string): Promise<{ api: string; aggregator: Role }> {
    await emptyTopic();
    await log.append(
      lines.map((line) => {
        const { partition, timestamp, key, value } = JSON.parse(line) as Line;
        return {
          ...{ topic: TOPIC, partition, timestampMs: Number(timestamp) },
          key: key === null ? null : Buffer.from(key, 'base64'),
          value: Buffer.from(value, 'base64'),
        };
      }),
    );
    const config = join(directory, `${group}.json`);
    const store = { directory: join(directory, group) };
    const settings = { kafka: kafka(group), clusters: [CLUSTER], store, api: { port: 0 }, ops: { port: 0 } };
    await writeFile(config, JSON.stringify(settings));
    const aggregator = new Role('aggregator', config);
    return { api: await aggregator.address('API'), aggregator };
  }

  async function check(capture: Given, group: string): Promise<void> {
    const given = named(capture);
    const file = join(directory, `${group}.jsonl`);
    await writeFile(file, given.lines.join('\n'));
    const replayed = usageReplayed((await metering('replay', file)).stdout);
    const { api, aggregator } = await through(given, group);
    expect(replayed).toEqual(usageReplayed(given.figures));
    const found = (): Promise<readonly string[]> => usageOverHttp(api, RANGE);
    const isSame = async (): Promise<true | undefined> =>
      (await found()).join('\n') === replayed.join('\n') ? true : undefined;
    // Where it never becomes the same, what is different says more than a wait in vain.
    await until('the same usage', isSame, { forMs: 40_000 }).catch(() => undefined);
    expect(await found()).toEqual(replayed);
    expect(await aggregator.end('SIGTERM')).toBe(0);
  }

  test.each(committed())('$name gives the figures of the file', async (capture) => {
    await check(capture, 'committed');
  });

  test.skipIf(!existsSync(SHARED))(
    'the long captures (skipped where ../shared/captures is not there) give the figures of the files',
    async () => {
      const captured = long();
      expect(captured).toHaveLength(4);
      for (const [index, capture] of captured.entries()) await check(capture, `long-${index}`);
    },
    360_000,
  );
});
