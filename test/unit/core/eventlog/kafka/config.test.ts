import { describe, expect, test } from 'vitest';

import { kafkaLogSchema } from '../../../../../core/eventlog/kafka.ts';
import { loadConfig } from '../../../../../core/runtime/config.ts';

function load(values: object): unknown {
  return loadConfig(kafkaLogSchema, { name: 'kafka', values: { brokers: ['a:9092'], ...values } });
}

describe('settings of the log in Kafka', () => {
  test('need nothing but a broker, and are safe by default', () => {
    expect(load({})).toMatchObject({
      groupId: 'aggregator',
      compression: 'zstd',
      topics: { replicationFactor: 3, minInsyncReplicas: 2, retentionMs: 604_800_000 },
    });
  });

  test.each([
    [{ brokers: [] }, 'brokers: '],
    [{ brokers: ['https://a:9092'] }, 'brokers.0: must be host:port'],
    [{ brooker: 1 }, 'brooker: unknown key'],
    [{ ssl: { certFile: 'c.pem' } }, 'ssl.keyFile: certFile and keyFile belong together; set both or none'],
    [{ sasl: { mechanism: 'GSSAPI' } }, 'sasl.mechanism: '],
    [
      { sasl: { mechanism: 'SCRAM-SHA-512', username: 'a' } },
      'sasl.password: is missing; SCRAM-SHA-512 needs username, password',
    ],
    [
      { sasl: { mechanism: 'OAUTHBEARER', clientId: 'a', clientSecret: 'b' } },
      'sasl.tokenUrl: is missing; OAUTHBEARER needs tokenUrl, clientId, clientSecret',
    ],
    [{ topics: { minInsyncReplicas: 4 } }, 'topics.minInsyncReplicas: must not be above replicationFactor'],
    [
      { fetch: { maxBytesPerPartition: 1_000_000 } },
      'fetch.maxBytesPerPartition: must not be below topics.maxMessageBytes',
    ],
    [{ maxRequestBytes: 6_000_000 }, 'maxRequestBytes: must not be above topics.maxMessageBytes'],
    [
      { membership: { heartbeatIntervalMs: 30_000 } },
      'membership.heartbeatIntervalMs: must be a third of sessionTimeoutMs or less',
    ],
  ])('%j is refused', (values, problem) => {
    expect(() => load(values)).toThrow(problem);
  });

  test('secrets are never shown', () => {
    const sasl = { mechanism: 'PLAIN', username: 'a', password: 'swordfish' };
    expect(JSON.stringify(load({ sasl }))).not.toContain('swordfish');
  });
});
