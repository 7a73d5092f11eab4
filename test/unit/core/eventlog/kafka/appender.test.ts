import { describe, expect, test } from 'vitest';

import { checkAcknowledged } from '../../../../../core/eventlog/kafka/appender.ts';

function sent(topic: string, partition: number): { topic: string; message: { partition: number } } {
  return { topic, message: { partition } };
}

describe('an answer of the brokers', () => {
  test('is one only if every partition is in it', () => {
    const answer = [0, 1].map((partition) => ({ topicName: 'usage.a', partition, errorCode: 0 }));
    expect(() => checkAcknowledged([sent('usage.a', 0), sent('usage.a', 1)], answer)).not.toThrow();
    expect(() =>
      checkAcknowledged([sent('usage.a', 0), sent('usage.a', 2), sent('usage.b', 1)], answer),
    ).toThrow(
      expect.objectContaining({
        code: 'METER_LOG_UNAVAILABLE',
        retryable: true,
        message: 'Kafka acknowledged nothing for usage.a/2, usage.b/1; append again',
      }),
    );
  });

  test('is none where it carries an error', () => {
    const answer = [{ topicName: 'usage.a', partition: 0, errorCode: 19 }];
    expect(() => checkAcknowledged([sent('usage.a', 0)], answer)).toThrow('usage.a/0');
  });
});
