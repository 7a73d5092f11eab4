import * as http from 'node:http';
import * as net from 'node:net';

import { expect, test } from 'vitest';

import { inTime } from '../../../../../aggregator/api/endpoint/answer-time.ts';
import { nextTurn, SystemClock } from '../../../../../core/runtime/clock.ts';

const TIME = { clock: new SystemClock(), answerTimeoutMs: 60_000 };

test.each(['while it is made', 'before it is begun'])(
  'an answer to somebody who leaves %s is told so at once',
  async (when) => {
    const told = Promise.withResolvers<boolean>();
    const server = http.createServer((_, response) => {
      const answer = (): Promise<void> =>
        inTime(TIME, response, async (signal) => {
          client.destroy();
          if (!signal.aborted) await TIME.clock.sleep(5_000, signal);
          told.resolve(signal.aborted);
        });
      if (when === 'while it is made') answer().catch(told.reject);
      else {
        response.once('close', () => void nextTurn().then(answer).catch(told.reject));
        client.destroy();
      }
    });
    const port = await new Promise<number>((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve((server.address() as net.AddressInfo).port)),
    );
    const client = net.connect(port, '127.0.0.1');
    client.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    expect(await told.promise).toBe(true);
    server.close();
  },
);
