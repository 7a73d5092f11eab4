import { beforeEach, expect, test } from 'vitest';

import { JointRequests } from '../../../../../core/eventlog/kafka/joint-requests.ts';
import { MeteringError } from '../../../../../core/runtime/errors.ts';

const AWAY = new MeteringError('METER_LOG_UNAVAILABLE', 'away', { retryable: true });
const TOO_LARGE = new MeteringError('METER_INPUT_UNREADABLE', 'too large');

interface Sent {
  readonly items: readonly string[];
  readonly answer: (error?: unknown) => void;
}

let sent: Sent[];
let requests: JointRequests<string>;
beforeEach(() => {
  sent = [];
  requests = new JointRequests({ maxBytes: 10, atOnce: 1 }, (items) => {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    sent.push({ items, answer: (error) => (error === undefined ? resolve(undefined) : reject(error)) });
    return promise;
  });
});

/** Of a part of three bytes: what it came to, once it has. */
function append(item: string, bytes = 3): Promise<string> {
  return requests.append([item], bytes).then(
    () => `${item} is there`,
    (error: unknown) => `${item}: ${(error as Error).message}`,
  );
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

const items = (): readonly string[] => sent.map((one) => one.items.join(' '));

test('who comes first is sent at once; who comes meanwhile goes together, as many as fit, in order', async () => {
  const ends = ['a', 'b', 'c', 'd', 'e'].map((item) => append(item));
  expect(items()).toEqual(['a']);
  sent[0]?.answer();
  await turns();
  expect(items()).toEqual(['a', 'b c d']);
  sent[1]?.answer();
  await turns();
  expect(items()).toEqual(['a', 'b c d', 'e']);
  sent[2]?.answer();
  expect(await Promise.all(ends)).toEqual(['a', 'b', 'c', 'd', 'e'].map((item) => `${item} is there`));
});

test('a part beyond the limit goes alone, and those behind it are not lost', async () => {
  const ends = [append('a'), append('large', 11), append('b')];
  for (let i = 0; i < 3; i++) {
    sent[i]?.answer();
    await turns();
  }
  expect(items()).toEqual(['a', 'large', 'b']);
  expect(await Promise.all(ends)).toEqual(['a is there', 'large is there', 'b is there']);
});

test('a fault that passes is told to all of the request, and the next one is sent', async () => {
  const ends = [append('a'), append('b'), append('c')];
  sent[0]?.answer(AWAY);
  await turns();
  sent[1]?.answer(AWAY);
  await turns();
  const next = append('d');
  expect(items()).toEqual(['a', 'b c', 'd']);
  sent[2]?.answer();
  expect(await Promise.all([...ends, next])).toEqual(['a: away', 'b: away', 'c: away', 'd is there']);
});

test('what cannot be taken is found by itself: those beside it are there', async () => {
  const ends = [append('a'), append('b'), append('poison'), append('c')];
  sent[0]?.answer();
  await turns();
  expect(items()).toEqual(['a', 'b poison c']);
  sent[1]?.answer(TOO_LARGE);
  for (const [at, error] of [[2], [3, TOO_LARGE], [4]] as const) {
    await turns();
    sent[at]?.answer(error);
  }
  expect(await Promise.all(ends)).toEqual(['a is there', 'b is there', 'poison: too large', 'c is there']);
  expect(items().slice(2)).toEqual(['b', 'poison', 'c']);
});

test('as many requests are under way as may be', async () => {
  const two = new JointRequests<string>({ maxBytes: 10, atOnce: 2 }, (all) => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    sent.push({ items: all, answer: () => resolve(undefined) });
    return promise;
  });
  const ends = ['a', 'b', 'c', 'd'].map((item) => two.append([item], 3));
  expect(items()).toEqual(['a', 'b']);
  sent[1]?.answer();
  await turns();
  expect(items()).toEqual(['a', 'b', 'c d']);
  for (const { answer } of sent) answer();
  await Promise.all(ends);
});
