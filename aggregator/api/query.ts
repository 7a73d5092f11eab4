/**
 * `GET|POST /api/v1/meters/{meter}/query`: usage of one meter by window and group. Quantities are decimal
 * strings in the base unit, in JSON and in CSV alike. Either every row of the answer is sent, or a problem
 * that says what to do.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { billableMeter, METERS, type MeterDefinition } from '../../core/metering/catalogue.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { suggestion } from '../../core/runtime/suggestion.ts';
import { csv } from '../../core/runtime/csv.ts';
import { CSV_TYPE } from './csv.ts';
import { scopeOf } from './identity.ts';
import type { TenantScope } from './identity/access.ts';
import { ParameterReader } from './parameters.ts';
import { sendProblem } from './problem.ts';
import { representationFor } from './representation.ts';
import { instantText, parseUsageQuery, type UsageQuery } from './usage-query.ts';
import type { UsageReader } from './usage-reader.ts';
import { rowCount, usageReport, type ReportInput, type ReportRow } from './usage-report.ts';

/** Some 30 MB of JSON: more is an export, to be asked for in parts. */
export const MAX_ROWS = 100_000;

const PATH = '/v1/meters/:meter/query';
const GIVES = { config: { capability: 'usage' } } as const;

export interface QueryDeps {
  readonly clock: Clock;
  readonly reader: UsageReader;
}

export function registerQuery(app: FastifyInstance, deps: QueryDeps): void {
  const endpoint = new QueryEndpoint(deps);
  app.get(PATH, GIVES, (request, reply) =>
    endpoint.answer(request, reply, ParameterReader.fromQuery(request.query)),
  );
  app.post(PATH, GIVES, (request, reply) =>
    endpoint.answer(request, reply, ParameterReader.fromBody(request.body)),
  );
}

class QueryEndpoint {
  readonly #deps: QueryDeps;

  constructor(deps: QueryDeps) {
    this.#deps = deps;
  }

  async answer(
    request: FastifyRequest,
    reply: FastifyReply,
    parameters: ParameterReader,
  ): Promise<FastifyReply> {
    const { meter: name } = request.params as { readonly meter: string };
    const meter = billableMeter(name);
    if (meter === undefined) return sendProblem(reply, 'METER_UNKNOWN_METER', { detail: unknownMeter(name) });
    const representation = representationFor(request.headers.accept);
    if (representation === undefined) {
      const detail = 'Accept application/json or text/csv.';
      return sendProblem(reply, 'METER_NOT_ACCEPTABLE', { detail });
    }
    const parsed = parseUsageQuery(parameters, this.#deps.clock.now());
    if (!parsed.ok) {
      const { problems } = parsed;
      const detail = problems.map((one) => `${one.parameter}: ${one.detail}`).join(' ');
      return sendProblem(reply, 'METER_REQUEST_INVALID', { detail, problems });
    }
    const { query } = parsed;
    const input = await this.#read(scopeOf(request), meter, query);
    if (input.sums.length > MAX_ROWS || rowCount(input) > MAX_ROWS) {
      const detail = `More than ${MAX_ROWS} rows: shorten the range, take larger windows, or filter.`;
      return sendProblem(reply, 'METER_RESULT_TOO_LARGE', { detail });
    }
    const rows = usageReport(input);
    // Figures of open hours change, so nothing between here and the caller may keep them.
    reply.header('cache-control', 'no-store').header('vary', 'accept');
    if (representation === 'csv') return reply.type(CSV_TYPE).send(csvOf(meter, query, rows));
    return reply.send(jsonOf(meter, query, rows));
  }

  async #read(scope: TenantScope, meter: MeterDefinition, query: UsageQuery): Promise<ReportInput> {
    const { reader } = this.#deps;
    const { windows, groupBy, filters } = query;
    const request = { meter: meter.name, windows, groupBy, filters, limit: MAX_ROWS + 1 };
    // Watermarks first: usage that is read after them is at least as complete as they say.
    const watermarks = await reader.watermarks(scope);
    const [sums, coverage] = await Promise.all([
      reader.usage(scope, request),
      reader.coverage(scope, request),
    ]);
    return { windows, groupBy, filters, sums, coverage, watermarks };
  }
}

function unknownMeter(name: string): string {
  const names = METERS.map((meter) => meter.name);
  return `"${name}" is no meter${suggestion(name, names)}; the meters are ${names.join(', ')}.`;
}

function jsonOf(meter: MeterDefinition, query: UsageQuery, rows: readonly ReportRow[]): object {
  return {
    from: instantText(query.fromMs),
    to: instantText(query.toMs),
    ...(query.windowSize !== undefined && { windowSize: query.windowSize }),
    windowTimeZone: query.windowTimeZone,
    data: rows.map(({ window, group, value, complete, coverage }) => ({
      value: value?.toString() ?? null,
      unit: meter.unit,
      windowStart: instantText(window.startMs),
      windowEnd: instantText(window.endMs),
      ...group,
      groupBy: group,
      complete,
      coverage,
    })),
  };
}

function csvOf(meter: MeterDefinition, query: UsageQuery, rows: readonly ReportRow[]): string {
  const { groupBy } = query;
  const figures = ['value', 'unit', 'complete', 'coveredMs', 'expectedMs'];
  return csv(
    ['windowStart', 'windowEnd', ...groupBy, ...figures],
    rows.map(({ window, group, value, complete, coverage }) => [
      instantText(window.startMs),
      instantText(window.endMs),
      ...groupBy.map((dimension) => group[dimension]),
      value,
      meter.unit,
      complete,
      coverage.coveredMs,
      coverage.expectedMs,
    ]),
  );
}
