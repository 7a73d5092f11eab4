/**
 * A sender that keeps what was not taken: each lane sends its requests in order, one at a time, again and
 * again until it is answered with 2xx.
 */
import { Agent, request as httpRequest } from 'node:http';
import { SystemClock } from '../../core/runtime/clock.ts';
import type { WriteRequest } from './traffic.ts';

const RETRY_MS = 250;
/** Longer than the receiver waits for its log. */
const PATIENCE_MS = 40_000;
/** The receiver tells these senders to come again; any other refusal would be a loss. */
const COME_AGAIN = new Set([429, 503]);
const clock = new SystemClock();

export interface Lane {
  /** The next request, once it is due; undefined: there are no more. */
  next(): Promise<WriteRequest | undefined>;
}

export class Sender {
  readonly #url: string;
  readonly #token: string;
  readonly #agent = new Agent({ keepAlive: true });
  #acknowledged = 0;
  #tries = 0;
  #failures = 0;

  constructor(receiver: { readonly url: string; readonly token: string }) {
    this.#url = `${receiver.url}/api/v1/write`;
    this.#token = receiver.token;
  }

  /** Samples that the receiver answered for. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Requests that were sent, and how many of them came to nothing. */
  get tries(): { readonly all: number; readonly failed: number } {
    return { all: this.#tries, failed: this.#failures };
  }

  /** All lanes to their ends, or to the signal. */
  async run(lanes: readonly Lane[], signal: AbortSignal): Promise<void> {
    await Promise.all(lanes.map((lane) => this.#follow(lane, signal)));
  }

  async #follow(lane: Lane, signal: AbortSignal): Promise<void> {
    for (let request = await lane.next(); request !== undefined; request = await lane.next()) {
      if (!(await this.#insisted(request, signal))) return;
      this.#acknowledged += request.samples;
    }
  }

  /** False: told to stop before it was taken. */
  async #insisted(request: WriteRequest, signal: AbortSignal): Promise<boolean> {
    for (;;) {
      if (signal.aborted) return false;
      if (await this.#taken(request)) return true;
      await clock.sleep(RETRY_MS, signal);
    }
  }

  async #taken({ body }: WriteRequest): Promise<boolean> {
    this.#tries++;
    const answer = await this.#post(body).catch(() => undefined);
    if (answer !== undefined && answer.status < 300) return true;
    this.#failures++;
    // Nobody there, or no answer: it is not known what became of it.
    if (answer === undefined || COME_AGAIN.has(answer.status)) return false;
    throw new Error(`the receiver refused what it should take: ${answer.status} ${answer.text}`);
  }

  /** Not by `fetch`, which takes several times as much of the processor that all share here. */
  async #post(body: Uint8Array): Promise<{ readonly status: number; readonly text: string }> {
    return await new Promise((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${this.#token}`,
        'content-type': 'application/x-protobuf;proto=io.prometheus.write.v2.Request',
        'content-encoding': 'snappy',
        'content-length': body.length,
      };
      const signal = AbortSignal.timeout(PATIENCE_MS);
      const request = httpRequest(this.#url, { method: 'POST', headers, agent: this.#agent, signal });
      request.on('error', reject).on('response', (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk)).on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      });
      request.end(body);
    });
  }
}
