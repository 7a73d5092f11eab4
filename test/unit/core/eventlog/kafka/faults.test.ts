import kafkajs from 'kafkajs';
import { describe, expect, test } from 'vitest';

import { ConnectionWatch } from '../../../../../core/eventlog/kafka/connection-watch.ts';
import { isReassigned, translateFault } from '../../../../../core/eventlog/kafka/faults.ts';
import { MeteringError } from '../../../../../core/runtime/errors.ts';
import { ToldFacts } from '../../../../support/kafka/kafka-log.ts';

/** As the library makes them: named, typed, and wrapped in what it gave up with. */
function protocolError(type: string, message = 'as the brokers say'): Error {
  const cause = Object.assign(new Error(message), { name: 'KafkaJSProtocolError', type });
  return Object.assign(new Error(message, { cause }), { name: 'KafkaJSNumberOfRetriesExceeded' });
}

describe('what the client library throws', () => {
  const attempt = { operation: 'append to usage.a', principal: 'User:a' };

  test.each([
    ['TOPIC_AUTHORIZATION_FAILED', 'METER_LOG_UNAVAILABLE', false],
    ['GROUP_AUTHORIZATION_FAILED', 'METER_LOG_UNAVAILABLE', false],
    ['INVALID_TIMESTAMP', 'METER_INPUT_UNREADABLE', false],
    ['MESSAGE_TOO_LARGE', 'METER_INPUT_UNREADABLE', false],
    ['NOT_ENOUGH_REPLICAS', 'METER_LOG_UNAVAILABLE', true],
    ['LEADER_NOT_AVAILABLE', 'METER_LOG_UNAVAILABLE', true],
  ])('%s is %s, to be tried again: %s', (type, code, retryable) => {
    expect(translateFault(protocolError(type), attempt)).toMatchObject({ code, retryable });
  });

  test('says what was tried, by whom, why it failed and what follows', () => {
    const fault = translateFault(protocolError('NOT_ENOUGH_REPLICAS', 'too few copies'), attempt);
    expect((fault as Error).message).toBe(
      'Kafka: append to usage.a as User:a: too few copies; it is tried again',
    );
  });

  test('stays as it is where it is a fault of ours already, or no error at all', () => {
    const ours = new MeteringError('METER_CONFIG_INVALID', 'a setting');
    expect(translateFault(ours, attempt)).toBe(ours);
    expect(translateFault('text', attempt)).toBe('text');
    const wrapped = Object.assign(new Error('given up', { cause: ours }), { name: 'KafkaJSError' });
    expect(translateFault(wrapped, attempt)).toBe(ours);
  });

  test('is a bug where nothing explains it, and is not made a fault of the brokers', () => {
    const bug = new Error('invariant broken: never');
    const wrapped = Object.assign(new Error('given up', { cause: bug }), { name: 'KafkaJSError' });
    expect(translateFault(wrapped, attempt)).toBe(bug);
  });

  test('that it did not expect itself is tried again: it had lost sight of brokers or topics', () => {
    const choose = kafkajs.Partitioners.DefaultPartitioner();
    const forgotten = { topic: 'usage.a', partitionMetadata: undefined as never, message: { value: null } };
    let thrown: unknown;
    try {
      choose(forgotten);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(TypeError);
    expect(translateFault(thrown, attempt)).toMatchObject({ code: 'METER_LOG_UNAVAILABLE', retryable: true });
    const own = new TypeError('of ours');
    expect(translateFault(own, attempt)).toBe(own);
  });

  test.each(['ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'REBALANCE_IN_PROGRESS'])(
    '%s of a commit means that the partitions went elsewhere',
    (type) => expect(isReassigned(protocolError(type))).toBe(true),
  );

  test('no other does', () => {
    expect(isReassigned(protocolError('NOT_COORDINATOR_FOR_GROUP'))).toBe(false);
    expect(isReassigned(new Error('another'))).toBe(false);
  });
});

describe('what the client library says about its connections', () => {
  const { ERROR } = kafkajs.logLevel;
  const lost = { broker: 'a:9092', message: 'Connection error: refused', timestamp: '' };

  test('is one fact when a broker is lost and one when it answers again', () => {
    const facts = new ToldFacts();
    const watch = new ConnectionWatch(facts);
    const say = watch.logCreator();
    for (let n = 0; n < 5; n++) say({ namespace: 'Connection', level: ERROR, label: 'ERROR', log: lost });
    watch.answered('b:9092');
    watch.answered('a:9092');
    watch.answered('a:9092');
    expect(facts.of('logUnreachable')).toEqual([{ broker: 'a:9092', error: 'Connection error: refused' }]);
    expect(facts.of('logReachable')).toEqual([{ broker: 'a:9092' }]);
  });

  test('is told at debug level where it is an answer that comes back as an error anyway', () => {
    const facts = new ToldFacts();
    const watch = new ConnectionWatch(facts);
    const log = { ...lost, correlationId: 7, message: 'Response Metadata', error: 'no leader' };
    watch.logCreator()({ namespace: 'Connection', level: ERROR, label: 'ERROR', log });
    expect(facts.of('logUnreachable')).toEqual([]);
    expect(facts.of('logClientSaid')).toEqual([{ part: 'Connection', text: 'Response Metadata: no leader' }]);
  });
});
