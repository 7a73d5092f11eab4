/** What is asked of the API, and what is measured of it while somebody asks (`client.ts`). */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type autocannon from 'autocannon';
import { periodEnd, periodName, periodOf, periodStart } from '../../../core/metering/period.ts';
import { every, SystemClock } from '../../../core/runtime/clock.ts';
import type { Asking } from './client.ts';
import { tenantName, type Load } from './plan.ts';

/** Requests differ, by tenant and meter; drawn anew for every scenario, the same in every run. */
const REQUESTS = 2_000;
/** At the memory of the process. */
const LOOK_MS = 1_000;

export interface Scenario {
  readonly name: string;
  /** Of the p99, ms. */
  readonly bound: number;
  readonly paths: readonly string[];
}

export interface Result {
  readonly name: string;
  readonly bound: number;
  readonly p50: number;
  readonly p99: number;
  readonly requests: number;
  readonly perSecond: number;
  readonly failed: number;
  /** With a status of its own. */
  readonly statuses: readonly string[];
  /** Of the process, while it was measured. */
  readonly rssMb: { readonly least: number; readonly most: number };
}

export function scenarios(load: Load): readonly Scenario[] {
  const open = instants(periodStart(load.open), periodEnd(load.open));
  const closed = periodOf(periodStart(load.open) - 1);
  const before = instants(periodStart(closed), periodEnd(closed));
  const meterAt = (i: number): string => load.meters[i % load.meters.length] ?? '';
  const pathsOf = (query: (i: number) => string): string[] =>
    Array.from(
      { length: REQUESTS },
      (_, i) => `/api/v1/meters/${meterAt(i * 7 + (i >> 3))}/query?${query(i)}`,
    );
  const tenantAt = (i: number): string => tenantName((i * 7_919) % load.tenants);
  const statementsOf = (period: string): string[] =>
    Array.from({ length: REQUESTS }, (_, i) => `/api/v1/statements/${period}/${tenantAt(i)}`);
  return [
    {
      name: `statement of ${periodName(closed)}, of a tenant`,
      bound: 30,
      paths: statementsOf(periodName(closed)),
    },
    {
      name: `statement of ${periodName(load.open)}, of a tenant`,
      bound: 100,
      paths: statementsOf(periodName(load.open)),
    },
    {
      name: 'open month of a tenant, by day',
      bound: 100,
      paths: pathsOf((i) => `${open}&windowSize=DAY&tenant=${tenantAt(i)}`),
    },
    { name: 'open month of all tenants', bound: 300, paths: pathsOf(() => `${open}&groupBy=tenant`) },
    {
      name: `${periodName(closed)} of all tenants`,
      bound: 300,
      paths: pathsOf(() => `${before}&groupBy=tenant`),
    },
  ];
}

function instants(fromMs: number, toMs: number): string {
  return `from=${new Date(fromMs).toISOString()}&to=${new Date(toMs).toISOString()}`;
}

/** `begin`: so many were asked before. */
export async function fire(
  url: string,
  { name, bound, paths }: Scenario,
  { seconds, begin = 0 }: { readonly seconds: number; readonly begin?: number },
): Promise<Result> {
  const memory: number[] = [];
  const asking = new AbortController();
  const watching = every(new SystemClock(), { intervalMs: LOOK_MS, signal: asking.signal }, async () => {
    memory.push(process.memoryUsage.rss() / 2 ** 20);
  });
  try {
    const { latency, requests, non2xx, errors, statusCodeStats } = await asked({
      url,
      paths,
      begin,
      seconds,
    });
    return {
      ...{ name, bound, p50: latency.p50, p99: latency.p99, requests: requests.total },
      ...{ perSecond: requests.total / seconds, failed: non2xx + errors },
      statuses: Object.keys(statusCodeStats ?? {}).filter((status) => status !== '200'),
      rssMb: { least: Math.min(...memory), most: Math.max(...memory) },
    };
  } finally {
    asking.abort();
    await watching;
  }
}

/** By a process of its own, as everybody else who asks is one. */
async function asked(asking: Asking): Promise<autocannon.Result> {
  const client = fork(CLIENT, { execArgv: ['--disable-warning=ExperimentalWarning'] });
  const ended = Promise.withResolvers<autocannon.Result>();
  client.once('message', (result) => {
    ended.resolve(result as autocannon.Result);
  });
  client.once('exit', (code) => {
    ended.reject(new Error(`who asked ended with ${String(code)} and without a result`));
  });
  client.send(asking);
  return await ended.promise;
}

const CLIENT = fileURLToPath(new URL('client.ts', import.meta.url));

/** Below it a 99th percentile says nothing; a scenario that answered nothing has met nothing. */
const LEAST_REQUESTS = 100;
/** Memory is flat if it never was this much more than at its least. */
const FLAT = 1.25;

export function isMet({ bound, p99, requests, failed, rssMb }: Result): boolean {
  return requests >= LEAST_REQUESTS && failed === 0 && p99 <= bound && rssMb.most <= rssMb.least * FLAT;
}

export function resultLine(result: Result): string {
  const { name, bound, p50, p99, perSecond, failed, statuses, rssMb } = result;
  const verdict = isMet(result) ? 'met' : 'MISSED';
  const figures = `p50 ${p50} ms, p99 ${p99} ms (bound ${bound}), ${perSecond.toFixed(0)} /s, ${[failed, 'failed', ...statuses].join(' ')}`;
  return `${name.padEnd(34)} ${figures}, RSS ${rssMb.least.toFixed(0)} to ${rssMb.most.toFixed(0)} MiB  ${verdict}`;
}
