import { fastify, type FastifyInstance } from 'fastify';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';

import { isFair } from '../../../../../aggregator/api/endpoint/deprecation.ts';
import { endpoint, type Endpoint } from '../../../../../aggregator/api/endpoint/endpoint.ts';
import { withParameters } from '../../../../../aggregator/api/endpoint/links.ts';
import { text } from '../../../../../aggregator/api/endpoint/parameters.ts';
import { registerEndpoints } from '../../../../../aggregator/api/endpoint/register.ts';
import { registerIdentity } from '../../../../../aggregator/api/identity.ts';
import { LocalIdentity } from '../../../../../aggregator/api/identity/identity.ts';
import { ENDPOINTS } from '../../../../../aggregator/api/endpoints.ts';
import { SystemClock } from '../../../../../core/runtime/clock.ts';

const declared = {
  method: 'GET',
  path: '/api/v1/things/{thing}',
  operationId: 'readThing',
  capability: 'usage',
  tag: 'things',
  summary: '',
  description: '',
  params: z.strictObject({ thing: z.string().regex(/^[a-z]+$/) }),
  query: z.strictObject({
    limit: z.int().min(1).max(10).default(5),
    whole: z.boolean().optional(),
    kind: z.enum(['small', 'large']).optional(),
    name: text,
  }),
  answers: { 200: { description: '', json: z.unknown(), media: { 'text/csv': '' } } },
  problems: [],
} as const;

let app: FastifyInstance;

async function serving(...endpoints: readonly Endpoint<object>[]): Promise<FastifyInstance> {
  app = fastify();
  app.register(
    async (routes) => {
      registerIdentity(routes, { identity: new LocalIdentity(), facts: { event: () => undefined } });
      const serving = { clock: new SystemClock(), answerTimeoutMs: 5_000, headerBytes: 8_192 };
      registerEndpoints(routes, endpoints, {}, serving);
    },
    { prefix: '/api' },
  );
  await app.ready();
  return app;
}

afterEach(() => app.close());

describe('what is asked', () => {
  const echo = endpoint({
    ...declared,
    answer: ({ params, query, mediaType }) => ({ json: { ...params, ...query, mediaType } }),
  });

  test('is read by its schemas: numbers, flags, defaults and what the path names', async () => {
    await serving(echo);
    const { body } = await app.inject('/api/v1/things/box?limit=7&whole=true&name=12');
    expect(JSON.parse(body)).toEqual({
      thing: 'box',
      limit: 7,
      whole: true,
      name: '12',
      mediaType: 'application/json',
    });
    const { body: fewer } = await app.inject('/api/v1/things/box?name=a');
    expect(JSON.parse(fewer)).toMatchObject({ limit: 5 });
  });

  test.each([
    ['', 'name: missing_parameter: It has to be given.'],
    ['name=', 'name: empty_value: Give a value or leave it out.'],
    ['name=a&name=b', 'name: repeated_parameter: Give it once.'],
    ['name=a&limit=11', 'limit: out_of_bounds: At most 10.'],
    ['name=a&limit=0', 'limit: out_of_bounds: At least 1.'],
    ['name=a&limit=1.5', 'limit: wrong_type: Give a number.'],
    ['name=a&limit=many', 'limit: wrong_type: Give a number.'],
    ['name=a&whole=yes', 'whole: wrong_type: Give a boolean.'],
    ['name=a&kind=smal', 'kind: unknown_value: One of small, large (did you mean "small"?).'],
    [
      'name=a&nmae=b',
      'nmae: unknown_parameter: Not known (did you mean "name"?). Known: limit, whole, kind, name.',
    ],
  ])('%s is told as %s', async (query, expected) => {
    await serving(echo);
    const response = await app.inject(`/api/v1/things/box?${query}`);
    expect(response.statusCode).toBe(400);
    const { problems } = response.json<{ problems: { parameter: string; code: string; detail: string }[] }>();
    expect(problems.map(({ parameter, code, detail }) => `${parameter}: ${code}: ${detail}`)).toEqual([
      expected,
    ]);
  });

  test('is told with all that is wrong at once', async () => {
    await serving(echo);
    const response = await app.inject('/api/v1/things/box?limit=11&kind=x&kind=y&whole=1&other=1');
    const { problems } = response.json<{ problems: { parameter: string }[] }>();
    expect(problems.map(({ parameter }) => parameter).sort()).toEqual([
      'kind',
      'kind',
      'limit',
      'name',
      'other',
      'whole',
    ]);
  });

  test('by a path that names nothing is 404, before anything else', async () => {
    await serving(echo);
    const response = await app.inject('/api/v1/things/BOX?other=1');
    expect([response.statusCode, response.json<{ code: string }>().code]).toEqual([404, 'METER_NOT_FOUND']);
  });
});

describe('what is answered', () => {
  test('is kept by nobody unless it says so, and says where it goes on', async () => {
    await serving(
      endpoint({
        ...declared,
        answer: ({ url }) => ({
          json: {},
          links: { next: withParameters(url, { after: 'x y' }), describedby: '/openapi.json' },
        }),
      }),
    );
    const { headers } = await app.inject('/api/v1/things/box?name=a');
    expect(headers['cache-control']).toBe('no-store');
    expect(headers['vary']).toBe('accept, authorization');
    expect(headers['link']).toBe(
      '</api/v1/things/box?name=a&after=x+y>; rel="next", </openapi.json>; rel="describedby"',
    );
    expect(headers['deprecation']).toBeUndefined();
  });

  test('may be kept, and may be that nothing changed', async () => {
    await serving(
      endpoint({
        ...declared,
        answers: { ...declared.answers, 304: { description: '' } },
        answer: ({ headers }) =>
          headers['if-none-match'] === '"1"'
            ? { notModified: true as const }
            : { json: {}, headers: { etag: '"1"', 'cache-control': 'private, max-age=60' } },
      }),
    );
    const first = await app.inject('/api/v1/things/box?name=a');
    expect(first.headers['cache-control']).toBe('private, max-age=60');
    const again = await app.inject({
      url: '/api/v1/things/box?name=a',
      headers: { 'if-none-match': String(first.headers['etag']) },
    });
    expect([again.statusCode, again.body]).toEqual([304, '']);
  });

  test('says that it is on its way out, since when, until when and what there is instead', async () => {
    const deprecation = { since: '2026-01-01', sunset: '2027-03-01', successor: '/api/v2/things' };
    await serving(endpoint({ ...declared, deprecation, answer: () => ({ json: {} }) }));
    const { headers } = await app.inject('/api/v1/things/box?name=a');
    expect(headers['deprecation']).toBe('@1767225600');
    expect(headers['sunset']).toBe('Mon, 01 Mar 2027 00:00:00 GMT');
    expect(headers['link']).toBe('</docs>; rel="deprecation", </api/v2/things>; rel="successor-version"');
  });

  test('is promised for a year at least after it was said to go', () => {
    expect(isFair({ since: '2026-01-01', sunset: '2026-12-31' })).toBe(false);
    expect(isFair({ since: '2026-01-01', sunset: '2027-01-01' })).toBe(true);
    const notices = ENDPOINTS.flatMap(({ declaration: { deprecation } }) => deprecation ?? []);
    expect(notices.filter((notice) => !isFair(notice))).toEqual([]);
  });
});
