/**
 * The pipeline as it is installed, each part a process: a broker, a store, a collector that receives, and
 * aggregators. Parts are killed and frozen one by one; roles come back by their orchestrator, the broker
 * and the store when they are told to. Where they are linked, each role has its own way to the broker and to
 * the store, for a network that fails.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClickHouseStore } from '../../aggregator/store/clickhouse/server.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { KafkaLog, kafkaLogSchema } from '../../core/eventlog/kafka.ts';
import { usageTopic } from '../../core/eventlog/usage-topic.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { loadConfig, type ConfigTree } from '../../core/runtime/config.ts';
import { freePorts } from '../support/free-ports.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { StoreProcess } from '../support/store-process.ts';
import { Links } from './links.ts';
import { Supervised } from './supervised.ts';

const TOKEN = 'token-of-the-cluster-under-test';
const PARTITIONS = 4;
const COLLECTOR = 'collector';

export interface InstallationOptions {
  readonly cluster: string;
  readonly aggregators: number;
  readonly isLinked?: boolean;
  /** How aggregators tell each other that they live, where not as they do by themselves. */
  readonly coordination?: ConfigTree;
}

interface Parts {
  readonly cluster: string;
  readonly broker: KafkaBroker;
  readonly store: StoreProcess;
  readonly links: Links | undefined;
  /** For whoever looks at the topic. */
  readonly log: KafkaLog;
  readonly collector: Supervised;
  readonly aggregators: readonly Supervised[];
  readonly receiver: { readonly url: string; readonly token: string };
  readonly directory: string;
}

export class Installation {
  readonly parts: Parts;

  private constructor(parts: Parts) {
    this.parts = parts;
  }

  static async start(options: InstallationOptions): Promise<Installation> {
    const { cluster, aggregators, isLinked = false } = options;
    const directory = await mkdtemp(join(tmpdir(), 'metering-chaos-'));
    const names = Array.from({ length: aggregators }, (_, index) => `aggregator ${index}`);
    const links = isLinked ? await Links.start([COLLECTOR, ...names]) : undefined;
    const broker = await KafkaBroker.start({ links: links?.brokerPorts ?? [] });
    const store = await StoreProcess.start(join(directory, 'store'));
    links?.leadTo({ broker, store });
    const kafka = kafkaOf(broker.address);
    const log = new KafkaLog(loadConfig(kafkaLogSchema, { name: 'the test', values: kafka }), {
      clock: new SystemClock(),
      facts: { event: () => undefined },
    });
    await log.ensureTopics([usageTopic(cluster)]);
    const written = async (name: string, values: unknown): Promise<string> => {
      const path = join(directory, `${name.replace(' ', '-')}.json`);
      await writeFile(path, JSON.stringify(values));
      return path;
    };
    const [port = 0, ...apiPorts] = await freePorts(1 + aggregators);
    const own = (name: string) => kafkaOf(links?.toBroker(name).address ?? broker.address);
    const collected = await written(COLLECTOR, {
      kafka: own(COLLECTOR),
      receiver: { port, clusters: { [cluster]: { tokens: [TOKEN] } } },
      ops: { port: 0 },
    });
    const { coordination = {} } = options;
    const configs = await Promise.all(
      names.map((name, index) => {
        const url = links === undefined ? store.url : `http://${links.toStore(name).address}`;
        const values = { kafka: own(name), clusters: [cluster], store: { url }, coordination };
        return written(name, { ...values, api: { port: apiPorts[index] }, ops: { port: 0 } });
      }),
    );
    const collector = new Supervised(COLLECTOR, { kind: 'collector', config: collected });
    const metering = configs.map((config, index) => {
      return new Supervised(names[index] ?? '', { kind: 'aggregator', config });
    });
    const receiver = { url: `http://127.0.0.1:${port}`, token: TOKEN };
    const made = { cluster, broker, store, links, log, collector, receiver, directory };
    return new Installation({ ...made, aggregators: metering });
  }

  get roles(): readonly Supervised[] {
    return [this.parts.collector, ...this.parts.aggregators];
  }

  /** The store, as another process that reads it. */
  async openStore(): Promise<UsageStore> {
    return await ClickHouseStore.open({ url: this.parts.store.url });
  }

  /** One past the last record of each partition. */
  async ends(): Promise<ReadonlyMap<number, bigint>> {
    const positions = await this.parts.log.endPositions([usageTopic(this.parts.cluster)]);
    return new Map(positions.map(({ partition, next }) => [partition, next]));
  }

  /** A place for what a check writes. */
  file(name: string): string {
    return join(this.parts.directory, name);
  }

  /** The statuses that the roles ended with; nothing is left of anything. */
  async stop(): Promise<readonly (number | null)[]> {
    const { log, links, store, broker, directory } = this.parts;
    const statuses = await Promise.all(this.roles.map((role) => role.stop()));
    await log.close();
    await links?.close();
    await store.stop();
    await broker.stop();
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    return statuses;
  }
}

function kafkaOf(broker: string): ConfigTree {
  return {
    brokers: [broker],
    topics: { partitions: PARTITIONS, replicationFactor: 1, minInsyncReplicas: 1 },
    membership: { sessionTimeoutMs: 6_000, heartbeatIntervalMs: 1_000 },
  };
}
