import type { FastifyInstance } from 'fastify';

const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** `GET /metrics`: tells of every tenant, so it is never on a listener for tenants. */
export function registerMetrics(
  app: FastifyInstance,
  { metricsText }: { readonly metricsText: () => Promise<string> },
): void {
  app.get('/metrics', async (_request, reply) => reply.type(EXPOSITION_TYPE).send(await metricsText()));
}
