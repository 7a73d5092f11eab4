/**
 * What a sender is told, in the words of its protocol. Remote write: text and the counts of what was written.
 * OTLP: a response, or a status, in the encoding of the request. A fault of ours is told without its text.
 */
import type { FastifyReply } from 'fastify';
import { bytesField, textField, varintField } from '../../core/protobuf/message-writer.ts';
import type { OtlpForm } from './otlp.ts';

/** Why nothing of a request was taken, as metrics and log lines name it. */
export type PushRefusal =
  | 'body_too_large'
  | 'busy'
  | 'log_away'
  | 'malformed'
  | 'media_type'
  | 'receiver_full'
  | 'too_large'
  | 'unauthorized'
  | 'fault';

interface RefusalKind {
  readonly status: number;
  /** The sender is to come back. */
  readonly isRetryable: boolean;
  /** Code of google.rpc.Status. */
  readonly rpcCode: number;
}

export const REFUSALS: Readonly<Record<PushRefusal, RefusalKind>> = {
  malformed: { status: 400, isRetryable: false, rpcCode: 3 },
  unauthorized: { status: 401, isRetryable: false, rpcCode: 16 },
  body_too_large: { status: 413, isRetryable: false, rpcCode: 8 },
  too_large: { status: 413, isRetryable: false, rpcCode: 8 },
  media_type: { status: 415, isRetryable: false, rpcCode: 3 },
  busy: { status: 429, isRetryable: true, rpcCode: 8 },
  fault: { status: 500, isRetryable: false, rpcCode: 13 },
  log_away: { status: 503, isRetryable: true, rpcCode: 14 },
  receiver_full: { status: 503, isRetryable: true, rpcCode: 14 },
};

export interface Taken {
  /** Points that are durable in the log. */
  readonly points: number;
  readonly refused: number;
  /** Every reason, for a person. */
  readonly detail: string;
}

/** How one protocol answers. */
export interface Answers {
  taken(reply: FastifyReply, taken: Taken): FastifyReply;
  refused(reply: FastifyReply, status: { readonly rpcCode: number; readonly detail: string }): FastifyReply;
}

/** 204, or 400 if anything was refused: the protocol wants no 2xx then, and no second attempt. */
export const WRITE_ANSWERS: Answers = {
  taken: (reply, { points, refused, detail }) => {
    written(reply, points);
    if (refused === 0) return reply.code(204).send();
    const text = `${points} samples written, ${refused} refused: ${detail}\n`;
    return reply.code(400).type('text/plain; charset=utf-8').send(text);
  },
  refused: (reply, { detail }) => written(reply, 0).type('text/plain; charset=utf-8').send(`${detail}\n`),
};

function written(reply: FastifyReply, samples: number): FastifyReply {
  return reply
    .header('x-prometheus-remote-write-samples-written', String(samples))
    .header('x-prometheus-remote-write-histograms-written', '0')
    .header('x-prometheus-remote-write-exemplars-written', '0');
}

/** 200 with a partial success if anything was refused: a request that was read is not to be sent again. */
export function otlpAnswers(encoding: OtlpForm['encoding']): Answers {
  return encoding === 'json' ? JSON_ANSWERS : PROTOBUF_ANSWERS;
}

const PROTOBUF_ANSWERS: Answers = {
  taken: (reply, { refused, detail }) => {
    const partial = Buffer.concat([varintField(1, refused), textField(2, detail)]);
    return protobuf(reply, refused === 0 ? Buffer.alloc(0) : bytesField(1, partial));
  },
  refused: (reply, { rpcCode, detail }) =>
    protobuf(reply, Buffer.concat([varintField(1, rpcCode), textField(2, detail)])),
};

function protobuf(reply: FastifyReply, message: Buffer): FastifyReply {
  return reply.type('application/x-protobuf').send(message);
}

const JSON_ANSWERS: Answers = {
  taken: (reply, { refused, detail }) =>
    json(
      reply,
      refused === 0 ? {} : { partialSuccess: { rejectedDataPoints: String(refused), errorMessage: detail } },
    ),
  refused: (reply, { rpcCode, detail }) => json(reply, { code: rpcCode, message: detail }),
};

/** Serialized here: the media type has no charset. */
function json(reply: FastifyReply, body: object): FastifyReply {
  return reply.type('application/json').send(Buffer.from(JSON.stringify(body)));
}
