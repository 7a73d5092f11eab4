/** The API over a real store, with usage of pods that send to one another, asked by tenants and by operators. */
import { expect } from 'vitest';
import { usageReader } from '../../aggregator/api/usage/remembering-reader.ts';
import type { Row as MetricRow } from '../vectors/otlp-json.ts';
import { AccountsBench } from './accounts.ts';
import type { TestStore } from './chdb.ts';
import { HOUR, MINUTE } from './closed-month.ts';
import { Peers, type Flow, type Sighting } from './peers.ts';
import { openFastStore } from './pipeline.ts';
import { TokenServer } from './token-server.ts';
import { guardedApi, type GuardedApi } from './token-server-api.ts';

export const ANOTHER = '(another tenant)';
export const BEGIN = Date.UTC(2026, 9, 28, 8);
const END = BEGIN + 3 * HOUR;
export const RANGE = `from=${instant(BEGIN)}&to=${instant(END)}`;

export function instant(ms: number): string {
  return new Date(ms).toISOString();
}

export interface PeersWorld {
  readonly cluster: string;
  readonly owners: readonly Sighting[];
  /** Sighted two hours later. */
  readonly later?: readonly Sighting[];
  /** `until`: grows up to this of the scrapes, the first being 0. */
  readonly flows: readonly (Omit<Flow, 'bytes'> & { readonly until?: number })[];
  /** Further counters. */
  readonly others?: readonly Pick<MetricRow, 'name' | 'labels'>[];
}

export interface Row {
  readonly windowStart: string;
  readonly value: string | null;
  readonly revision: number;
  readonly groupBy: Readonly<Record<string, string>>;
}

interface Parts {
  readonly opened: TestStore;
  readonly server: TokenServer;
  readonly bench: AccountsBench;
  readonly guarded: GuardedApi;
}

export class PeersApi {
  readonly store: TestStore['store'];
  readonly #parts: Parts;
  readonly #peers = new Peers();

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.store = parts.opened.store;
  }

  static async start(): Promise<PeersApi> {
    const server = await TokenServer.start();
    const opened = await openFastStore();
    const bench = new AccountsBench(opened.store, ['north']);
    const reader = usageReader({ queryTimeoutMs: 10_000 }, opened);
    const guarded = guardedApi(server, { store: opened.store, reader, usageClock: bench.clock });
    await bench.passAt(END);
    return new PeersApi({ opened, server, bench, guarded });
  }

  async stop(): Promise<void> {
    const { guarded, opened, server } = this.#parts;
    await guarded.api.stop();
    await opened.dispose();
    await server.stop();
  }

  /** Rolled up, and the first hours settled. */
  async take(worlds: readonly PeersWorld[]): Promise<void> {
    const { bench } = this.#parts;
    await bench.take(worlds.flatMap((world) => this.#recordsOf(world)));
    await bench.passAt(bench.clock.now() + MINUTE);
  }

  /** Each flow grows with every scrape, more than the one before it. */
  #recordsOf({ cluster, owners, later = [], flows, others = [] }: PeersWorld) {
    return [0, 20, 50, 80, 110, 140].map((minutes, i) =>
      this.#peers.at(BEGIN + minutes * MINUTE, {
        cluster,
        owners: i === 0 ? owners : i === 4 ? later : [],
        flows: flows.map(({ until = i, ...flow }, n) => ({
          ...flow,
          bytes: Math.min(i, until) * 1_000 * (n + 1),
        })),
        others: others.map((row) => ({ ...row, value: { asDouble: i * 7 } })),
      }),
    );
  }

  async member(...tenants: readonly string[]): Promise<string> {
    return await this.#parts.server.memberToken(tenants, 'metering-viewer', 'metering-billing');
  }

  async operator(): Promise<string> {
    return await this.#parts.server.serviceToken();
  }

  async send(token: string, path: string, accept = 'application/json') {
    const headers = { authorization: `Bearer ${token}`, accept };
    const response = await this.#parts.guarded.api.app.inject({ url: `/api/v1/${path}`, headers });
    expect(response.statusCode, `${path}: ${response.body}`).toBe(200);
    return response;
  }

  async rows(token: string, query: string): Promise<readonly Row[]> {
    const response = await this.send(token, `meters/egress_internal/query?${RANGE}&${query}`);
    return response.json<{ data: Row[] }>().data;
  }
}

/** By window and group, without those of nothing. */
export function sums(rows: readonly Row[]): Map<string, bigint> {
  const found = new Map<string, bigint>();
  for (const { windowStart, groupBy, value } of rows) {
    const key = `${windowStart} ${JSON.stringify(groupBy)}`;
    found.set(key, (found.get(key) ?? 0n) + BigInt(value ?? 0));
  }
  return new Map([...found].filter(([, sum]) => sum !== 0n).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Rows of an operator as a tenant is to be told them. */
export function toldAs(rows: readonly Row[], isTold: (destination: string) => boolean): Row[] {
  return rows.map((row) => {
    const { destination = '' } = row.groupBy;
    return isTold(destination) ? row : { ...row, groupBy: { ...row.groupBy, destination: ANOTHER } };
  });
}
