/** The API as a resource server of a token server, with everything that it says kept. */
import * as http from 'node:http';
import { identitySchema } from '../../aggregator/api/identity/config.ts';
import { TokenIdentity, type Identity } from '../../aggregator/api/identity/identity.ts';
import type { LimitsConfig } from '../../aggregator/api/limits/config.ts';
import { readersOf, type Readers } from '../../aggregator/api/readers.ts';
import { createApi, type Api } from '../../aggregator/api/server.ts';
import type { UsageReader } from '../../aggregator/api/usage-reader.ts';
import type { Quota } from '../../aggregator/ledger/quota.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { SystemClock, type Clock } from '../../core/runtime/clock.ts';
import { loadConfig } from '../../core/runtime/config.ts';
import type { FactFields } from '../../core/runtime/facts.ts';
import { Telemetry } from '../../core/runtime/telemetry.ts';
import { AWAY_STORE } from './away-store.ts';
import { checkAnswers } from './checked-answers.ts';
import type { TokenServer } from './token-server.ts';
import { NOBODYS_USAGE } from './nobodys-usage.ts';

/** Time that only this moves, whatever becomes of the machine's; waiting takes as long as it takes. */
export class MovableClock extends SystemClock {
  #aheadMs = super.now() - performance.now();

  override now(): number {
    return Math.floor(performance.now() + this.#aheadMs);
  }

  move(ms: number): void {
    this.#aheadMs += ms;
  }
}

export interface GuardedApi {
  readonly api: Api;
  readonly readers: Readers;
  readonly identity: Identity;
  readonly clock: MovableClock;
  /** All lines of the log so far, from debug up. */
  log(): string;
  /** Why requests were denied, in order. */
  readonly denials: FactFields<'requestDenied'>[];
}

export interface GuardedOptions {
  readonly reader?: UsageReader;
  /** What all other answers are read from. */
  readonly store?: UsageStore;
  readonly quotas?: readonly Quota[];
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Of the API; usage may be asked for in another time than tokens are issued in. */
  readonly usageClock?: Clock;
  readonly limits?: Partial<LimitsConfig>;
}

export function guardedApi(server: TokenServer, options: GuardedOptions = {}): GuardedApi {
  const clock = new MovableClock();
  const lines: string[] = [];
  const denials: FactFields<'requestDenied'>[] = [];
  const output = { write: (text: string) => lines.push(text) };
  const told = [
    new Telemetry({ format: 'json', level: 'debug' }, { clock, output }),
    new Telemetry({ format: 'pretty', level: 'debug' }, { clock, output }),
  ];
  const facts: Pick<Telemetry, 'event'> = {
    event: (name, fields) => {
      if (name === 'requestDenied') denials.push(fields as FactFields<'requestDenied'>);
      for (const telemetry of told) telemetry.event(name, fields);
    },
  };
  const settings = { issuer: server.issuer, readAll: { clients: ['gh0stplane'] }, ...options.settings };
  const config = loadConfig(identitySchema, { name: 'identity', values: settings });
  const identity = new TokenIdentity(config, { clock, facts });
  const readers = readersOf(
    { queryTimeoutMs: 10_000, ledgerPollMs: 20 },
    { store: options.store ?? AWAY_STORE, quotas: () => options.quotas ?? [] },
  );
  const api = createApi(
    { port: 0, answerTimeoutMs: 20_000, checkTimeoutMs: 5_000, ...options.limits },
    {
      clock: options.usageClock ?? clock,
      facts,
      ...readers,
      reader: options.reader ?? NOBODYS_USAGE,
      checks: [{ name: 'store', check: async () => ({ ready: true, detail: '7 marks of globex' }) }],
      identity,
      metricsText: async () => 'gh0stmeter_usage{tenant="acme"} 1\n',
    },
  );
  checkAnswers(api.app);
  return { api, readers, identity, clock, denials, log: () => lines.join('') };
}

export const CATALOGUE = '/api/v1/meters';

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** Without a socket between: what the API itself answers to one bearer token. */
export async function ask({ api }: GuardedApi, token: string | undefined, url = CATALOGUE): Promise<Answer> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await api.app.inject({ url, headers });
  return {
    status: response.statusCode,
    headers: response.headers as http.IncomingHttpHeaders,
    body: response.body,
  };
}

/** Over a socket, with headers as they are, names and values in turn. */
export async function askRaw(url: string, headers: readonly string[]): Promise<Answer> {
  const all = ['host', new URL(url).host, ...headers];
  return new Promise((resolve, reject) => {
    const request = http.request(url, { agent: false, headers: [...all] }, (response) => {
      const chunks: Uint8Array[] = [];
      response.on('data', (chunk: Uint8Array) => chunks.push(chunk));
      response.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    });
    request.on('error', reject);
    request.end();
  });
}
