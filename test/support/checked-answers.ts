/** Holds every answer of an API to what its document says of it: an endpoint that tells anything else fails. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';

import { problemSchema } from '../../aggregator/api/problem.ts';

/** To be called before the first request. A wrong answer becomes one that says what is wrong with it. */
export function checkAnswers(app: FastifyInstance): void {
  app.addHook('onSend', async (request, reply, payload) => {
    const { declaration } = request.routeOptions.config;
    const type = String(reply.getHeader('content-type') ?? '').split(';')[0];
    const isProblem = type === 'application/problem+json';
    const answer = reply.statusCode === 304 ? declaration?.answers[304] : declaration?.answers[200];
    const schema = isProblem ? problemSchema : answer?.json;
    const isText = typeof payload === 'string' || Buffer.isBuffer(payload);
    if (!isText || (type !== 'application/json' && !isProblem) || schema === undefined) return payload;
    const result = schema.safeParse(JSON.parse(payload.toString()));
    if (result.success) return payload;
    reply.code(500).header('content-length', undefined);
    return `${request.method} ${request.url} answers what it does not declare: ${z.prettifyError(result.error)}`;
  });
}
