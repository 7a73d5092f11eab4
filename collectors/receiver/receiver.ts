/**
 * The collectors' front door: `POST /api/v1/write` (Prometheus remote write 1.0 and 2.0) and
 * `POST /v1/metrics` (OTLP/HTTP).
 *
 * Input: requests with a bearer token, which decides the cluster. Output: records on `usage.<cluster>`.
 * Guarantee: what an answer of 2xx stands for, and the points that any answer counts as taken, are durable in
 * the log; nothing is written as another cluster; whatever is sent, memory and time have limits. A log that
 * is away is told with 503, and the sender keeps what it has. A crash loses the answers under way: the sender
 * sends again, and points that come twice count once.
 */
import type { IncomingMessage } from 'node:http';
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { SampleLog } from '../../core/eventlog/sample-log.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { countRequests, Leaving, listen, onceClosed, urlOf } from '../../core/runtime/http.ts';
import type { Part } from '../../core/runtime/lifecycle.ts';
import { type Answers, otlpAnswers, WRITE_ANSWERS } from './answers.ts';
import type { ReceiverConfig } from './config.ts';
import { InFlight } from './in-flight.ts';
import { admitOtlp, otlpFormOf } from './otlp.ts';
import { Push, type PushDeps, type Protocol } from './push.ts';
import { admitWrite, writeVersionOf } from './remote-write.ts';
import { Tokens } from './tokens.ts';

export interface ReceiverDeps {
  readonly log: Pick<SampleLog, 'append'>;
  readonly clock: Clock;
  readonly facts: FactSink;
}

/** How a request of each route is read and answered; undefined: not by these headers. */
const PROTOCOLS: Readonly<Record<string, (request: FastifyRequest) => Protocol | undefined>> = {
  '/api/v1/write': ({ headers }) => {
    const version = writeVersionOf(headers);
    if (version === undefined) return undefined;
    return { answers: WRITE_ANSWERS, admit: (body, options) => admitWrite(body, version, options) };
  },
  '/v1/metrics': ({ headers }) => {
    const form = otlpFormOf(headers);
    if (form === undefined) return undefined;
    return { answers: otlpAnswers(form.encoding), admit: (body, options) => admitOtlp(body, form, options) };
  },
};

const NAMES: Readonly<Record<string, string>> = { '/api/v1/write': 'remote_write', '/v1/metrics': 'otlp' };

export class Receiver implements Part {
  readonly name = 'receiver';
  readonly #config: ReceiverConfig;
  readonly #deps: ReceiverDeps;
  readonly #app: FastifyInstance;
  readonly #pushes = new WeakMap<FastifyRequest, Push>();

  constructor(config: ReceiverConfig, deps: ReceiverDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#app = this.#frame();
    this.#routes();
  }

  /** Where it listens, once started. */
  get url(): string {
    return urlOf(this.#app);
  }

  async start(): Promise<void> {
    await listen(this.#app, this.#config, 'the receiver');
    this.#deps.facts.event('listening', { name: this.name, url: this.url });
  }

  /** No new connections; what is under way is appended and answered. */
  async stop(): Promise<void> {
    await this.#app.close();
  }

  #frame(): FastifyInstance {
    const app = fastify({
      logger: false,
      requestTimeout: this.#config.requestTimeoutMs,
      forceCloseConnections: 'idle',
    });
    // Bodies are taken as they are: what they may be is decided by each route, before they are read.
    app.removeAllContentTypeParsers();
    // One that is nobody's to take is not read.
    app.addContentTypeParser('*', async (request: FastifyRequest, payload: IncomingMessage) =>
      this.#pushes.get(request)?.read(payload),
    );
    app.setErrorHandler((error, request, reply) => this.#failed(error, request, reply));
    app.setNotFoundHandler((_request, reply) =>
      reply.code(404).type('text/plain; charset=utf-8').send('POST /api/v1/write or /v1/metrics\n'),
    );
    new Leaving(app);
    countRequests(app, this.#deps.facts);
    return app;
  }

  #routes(): void {
    const { clusters, bytesInFlight } = this.#config;
    const tokens = new Tokens(clusters);
    const deps: PushDeps = { ...this.#deps, inFlight: new InFlight({ bytes: bytesInFlight }) };
    this.#app.get('/healthz', () => ({ status: 'alive' }));
    for (const [path, protocolOf] of Object.entries(PROTOCOLS)) {
      this.#app.post(path, {
        onRequest: async (request, reply) => {
          const protocol = protocolOf(request);
          const push = new Push(this.#config, deps, {
            protocol: NAMES[path] ?? path,
            answers: protocol?.answers ?? fallbackAnswers(path),
            cluster: tokens.clusterOf(request.headers.authorization),
            admit: protocol?.admit,
          });
          this.#pushes.set(request, push);
          const refused = push.enter(request, reply);
          onceClosed(reply.raw, () => push.end());
          return refused;
        },
        handler: (request, reply) => this.#pushOf(request).take(request.body as Buffer | undefined, reply),
      });
    }
  }

  #pushOf(request: FastifyRequest): Push {
    const push = this.#pushes.get(request);
    if (push === undefined) throw new Error('a request is admitted before it is handled');
    return push;
  }

  /** What fastify refuses by itself, and our own bugs. */
  #failed(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const push = this.#pushes.get(request);
    if (push !== undefined) return push.failed(error, request, reply);
    return reply.code(400).type('text/plain; charset=utf-8').send('the request is not well-formed\n');
  }
}

/** For a request of which not even the encoding is known. */
function fallbackAnswers(path: string): Answers {
  return path === '/v1/metrics' ? otlpAnswers('json') : WRITE_ANSWERS;
}
