/**
 * One request on its way: known or not, within its limits or not, admitted, appended, answered. What
 * it holds of the shared limits it gives back at its end, whichever that is; what the log still holds of it,
 * when the log lets go.
 */
import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { LogAppend, SampleLog } from '../../core/eventlog/sample-log.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { Admission, AdmissionOptions } from './admission.ts';
import { type Answers, type PushRefusal, REFUSALS } from './answers.ts';
import { readBody, UnreadBody } from './body.ts';
import type { ClusterConfig, ReceiverConfig } from './config.ts';
import type { InFlight, Leave } from './in-flight.ts';
import { Refusals } from './refusals.ts';

export interface PushDeps {
  readonly log: Pick<SampleLog, 'append'>;
  readonly clock: Clock;
  readonly facts: FactSink;
  readonly inFlight: InFlight;
}

/** What of a body is taken, and how its sender is answered. */
export interface Protocol {
  readonly answers: Answers;
  readonly admit: (body: Uint8Array, options: AdmissionOptions) => Admission;
}

export interface PushOrigin {
  /** As metrics name it. */
  readonly protocol: string;
  readonly answers: Answers;
  /** Undefined: the token is nobody's. */
  readonly cluster: ClusterConfig | undefined;
  /** Undefined: the body is of a kind that is not taken. */
  readonly admit: Protocol['admit'] | undefined;
}

const EMPTY = Buffer.alloc(0);

type Trouble = readonly [reason: PushRefusal, detail: string, error?: unknown];

export class Push {
  readonly #config: ReceiverConfig;
  readonly #deps: PushDeps;
  readonly #origin: PushOrigin;
  readonly #leave: Leave[] = [];

  constructor(config: ReceiverConfig, deps: PushDeps, origin: PushOrigin) {
    this.#config = config;
    this.#deps = deps;
    this.#origin = origin;
  }

  /** Before the body is read: undefined if it may be, else the refusal that was sent. */
  enter(request: FastifyRequest, reply: FastifyReply): FastifyReply | undefined {
    const trouble = this.#admissionTrouble(request);
    return trouble === undefined ? undefined : this.#refuse(reply, ...trouble);
  }

  /** No more than its cluster may send, which is what it was counted as where it did not say. */
  async read(payload: Readable): Promise<Buffer> {
    return await readBody(payload, this.#origin.cluster?.limits.bodyBytes ?? 0);
  }

  async take(body: Buffer = EMPTY, reply: FastifyReply): Promise<FastifyReply> {
    const { cluster, admit, protocol, answers } = this.#origin;
    if (cluster === undefined || admit === undefined) throw new Error('a push is entered before it is taken');
    const refusals = new Refusals();
    const admission = admit(body, { cluster, nowMs: this.#deps.clock.now(), refusals });
    if (!admission.ok) return this.#refuse(reply, admission.reason, admission.detail);
    const trouble = await this.#append(admission.records);
    if (trouble !== undefined) return this.#refuse(reply, ...trouble);
    const { facts } = this.#deps;
    const { points } = admission;
    facts.event('pushAccepted', { protocol, cluster: cluster.name, points, bytes: body.length });
    for (const refused of refusals.counts()) {
      facts.event('pushPointsRefused', { protocol, cluster: cluster.name, ...refused });
    }
    return answers.taken(reply, { points, refused: refusals.total, detail: refusals.describe() });
  }

  /** The request came to an error: its sender's, or ours. */
  failed(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const { cluster } = this.#origin;
    const isUnread = error instanceof UnreadBody;
    if (isUnread && error.isTooLarge && cluster !== undefined)
      return this.#refuse(reply, ...bodyTooLarge(cluster));
    const status = statusOf(error);
    if (isUnread || (status >= 400 && status < 500)) {
      return this.#refuse(reply, 'malformed', 'the body did not arrive as announced');
    }
    this.#deps.facts.event('requestFailed', { route: request.routeOptions.url ?? 'unknown', error });
    return this.#refuse(reply, 'fault', 'a fault here; the log of the receiver tells more');
  }

  end(): void {
    for (const leave of this.#leave.splice(0)) leave();
  }

  #admissionTrouble({ headers }: FastifyRequest): Trouble | undefined {
    const { cluster, admit } = this.#origin;
    if (cluster === undefined) return ['unauthorized', 'a bearer token of a cluster is needed'];
    if (admit === undefined) return ['media_type', 'content type or encoding are not taken here'];
    const { bodyBytes, requests } = cluster.limits;
    const announced = headers['content-length'];
    const bytes = announced === undefined ? bodyBytes : Number(announced);
    if (bytes > bodyBytes) return bodyTooLarge(cluster);
    const { inFlight } = this.#deps;
    const leaveRequests = inFlight.enterRequest(cluster.name, requests);
    if (leaveRequests === undefined) return ['busy', `more than ${requests} requests of the cluster at once`];
    this.#leave.push(leaveRequests);
    const leaveBytes = inFlight.enterBytes(bytes);
    if (leaveBytes === undefined) return ['receiver_full', 'the receiver has no room left for a while'];
    this.#leave.push(leaveBytes);
    return undefined;
  }

  /** Undefined: every record is durable. */
  async #append(records: readonly LogAppend[]): Promise<Trouble | undefined> {
    const [first] = records;
    if (first === undefined) return undefined;
    const { log, clock, facts, inFlight } = this.#deps;
    const bytes = records.reduce((sum, { value }) => sum + value.length, 0);
    const leave = inFlight.enterBytes(bytes);
    if (leave === undefined) return ['receiver_full', 'the receiver has no room left for a while'];
    const startedMs = clock.now();
    const settled = new AbortController();
    // An append that is given up may still land: the bytes are free when the log has let go of them.
    const appended = log
      .append(records)
      .then(() => undefined, faultOf)
      .finally(() => {
        leave();
        settled.abort();
      });
    const { appendTimeoutMs } = this.#config;
    const timedOut = clock
      .sleep(appendTimeoutMs, settled.signal)
      .then(() => (settled.signal.aborted ? appended : logAway(`not durable within ${appendTimeoutMs} ms`)));
    const trouble = await Promise.race([appended, timedOut]);
    if (trouble !== undefined) return trouble;
    const durationMs = clock.now() - startedMs;
    facts.event('recordsAppended', { topic: first.topic, records: records.length, bytes, durationMs });
    return undefined;
  }

  #refuse(reply: FastifyReply, ...[reason, detail, error]: Trouble): FastifyReply {
    const { protocol, answers, cluster } = this.#origin;
    const { status, isRetryable, rpcCode } = REFUSALS[reason];
    this.#deps.facts.event('pushRefused', {
      protocol,
      cluster: cluster?.name ?? '',
      reason,
      status,
      ...(error === undefined ? {} : { error }),
    });
    reply.code(status);
    if (isRetryable) reply.header('retry-after', Math.ceil(this.#config.retryAfterMs / 1000));
    if (reason === 'unauthorized') reply.header('www-authenticate', 'Bearer realm="gh0stmeter"');
    return answers.refused(reply, { rpcCode, detail });
  }
}

function bodyTooLarge({ limits }: ClusterConfig): Trouble {
  return ['body_too_large', `the body is larger than ${limits.bodyBytes} bytes; send smaller batches`];
}

function logAway(error: unknown): Trouble {
  return ['log_away', 'the log does not take records right now; nothing is lost, send again', error];
}

/** What an append threw; a bug stays one. */
function faultOf(error: unknown): Trouble {
  if (error instanceof MeteringError) return logAway(error);
  throw error;
}

/** That the framework gave it; 0 where it did not. */
function statusOf(error: unknown): number {
  const { statusCode } = { statusCode: 0, ...(error as object) };
  return typeof statusCode === 'number' ? statusCode : 0;
}
