import { afterAll, beforeAll, describe } from 'vitest';

import { KafkaBroker } from '../support/kafka-broker.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { kafkaLog, newName } from '../support/kafka/kafka-log.ts';
import { sampleLogContract, type OpenedLog } from './sample-log.contract.ts';

const missing = missingForKafka();
let broker: KafkaBroker;

function opened(topics: readonly [string, string]): OpenedLog {
  const log = kafkaLog(broker.address);
  return {
    log,
    topics,
    reopen: async () => {
      await log.close();
      return opened(topics);
    },
    dispose: async () => await log.close(),
  };
}

async function open(): Promise<OpenedLog> {
  const topics = [newName(), newName()] as const;
  const log = kafkaLog(broker.address);
  await log.ensureTopics(topics);
  await log.close();
  return opened(topics);
}

describe.skipIf(missing !== undefined)(`on a broker${missing === undefined ? '' : `: ${missing}`}`, () => {
  beforeAll(async () => {
    broker = await KafkaBroker.start();
  });
  afterAll(async () => {
    await broker.stop();
  });

  sampleLogContract('the log in Kafka', open);
});
