/** The client that users have, on an API without a socket between. */
import { MeteringClient } from '../../aggregator/api/client/client.ts';
import type { Api } from '../../aggregator/api/server.ts';

export function clientOf({ app }: Pick<Api, 'app'>, token?: string): MeteringClient {
  const send = async (target: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const { pathname, search } = new URL(target instanceof Request ? target.url : target);
    const { statusCode, headers, rawPayload } = await app.inject({
      method: init.method === 'POST' ? 'POST' : 'GET',
      url: `${pathname}${search}`,
      headers: Object.fromEntries(new Headers(init.headers)),
      ...(typeof init.body === 'string' && { payload: init.body }),
    });
    const told = new Headers(
      Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]),
    );
    return new Response(statusCode === 304 ? null : new Uint8Array(rawPayload), {
      status: statusCode,
      headers: told,
    });
  };
  return new MeteringClient({
    baseUrl: 'http://127.0.0.1',
    fetch: send,
    ...(token !== undefined && { token: () => token }),
  });
}
