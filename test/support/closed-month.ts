/**
 * Records of an October that is hard to meter: two clusters, resets, gaps over hours and over its end, a
 * namespace that moves, gauges, delta points, an implausible sample after the end, births after it that began
 * in it, late records.
 */
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import type { AccountsBench } from './accounts.ts';
import { metricsData, type Row } from '../vectors/otlp-json.ts';
import { logRecord } from './pipeline.ts';

export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
export const MINUTE = 60_000;
export const NOVEMBER = Date.UTC(2026, 10, 1);
/** Nothing is metered before. */
export const FIRST_DAY = Date.UTC(2026, 9, 28);

interface Scrape {
  readonly cluster?: string;
  readonly delayMs?: number;
  readonly rows?: readonly Row[];
}

export class ClosedMonth {
  readonly #offsets = new Map<string, bigint>();

  /** October is closed, and what came after the close is settled. */
  async playOn(bench: Pick<AccountsBench, 'take' | 'passAt'>): Promise<void> {
    await bench.take(this.october());
    await bench.passAt(FIRST_DAY + DAY);
    await bench.take(this.late());
    await bench.take(this.november());
    await bench.passAt(NOVEMBER + 4 * DAY);
    await bench.take(this.afterTheClose());
    await bench.passAt(NOVEMBER + 12 * DAY);
  }

  october(): LogRecord[] {
    const day = FIRST_DAY;
    const records = [
      this.#scrape(FIRST_DAY - HOUR, {
        rows: [...owner('web', 'acme', FIRST_DAY - HOUR), ...owner('db', 'acme', FIRST_DAY - HOUR)],
      }),
      this.#scrape(FIRST_DAY - HOUR, { cluster: 'south', rows: owner('web', 'initech', FIRST_DAY - HOUR) }),
    ];
    for (let i = 0; i <= 36; i++) {
      const t = day + i * 5 * MINUTE + 7_123;
      records.push(
        this.#scrape(t, { rows: [cpu('web', 'a', t, 100 + i * 7.25), memory('web', 'a', t, 1e9 + i)] }),
      );
      // A counter that begins again in the middle, in a namespace that moves.
      const db = [
        cpu('db', 'b', t, i < 20 ? 50 + i : i - 19.5),
        ...(i === 16 ? owner('db', 'globex', t) : []),
      ];
      records.push(this.#scrape(t + 1_000, { rows: db }));
      const south = { cluster: 'south', rows: [cpu('web', 's', t, i * 3), requests('web', t, 5)] };
      records.push(this.#scrape(t, south));
    }
    // Six hours later, and two days: gaps over hours and days.
    for (const t of [day + 9 * HOUR, day + 2 * DAY + 1]) {
      records.push(
        this.#scrape(t, { rows: [cpu('web', 'a', t, 500 + (t - day) / 3e5), memory('web', 'a', t, 2e9)] }),
      );
    }
    const last = NOVEMBER - 50 * MINUTE;
    records.push(this.#scrape(last, { rows: [cpu('web', 'a', last, 1795), cpu('web', 'jump', last, 10)] }));
    return records;
  }

  /** Before the close: a sample between two known ones, an owner that comes to light, a scrape. */
  late(): LogRecord[] {
    const t = FIRST_DAY + 7 * HOUR;
    return [
      this.#scrape(t, { rows: [cpu('web', 'a', t, 500)], delayMs: 2 * DAY }),
      this.#scrape(t + MINUTE, { rows: owner('web', 'acme', t + MINUTE), delayMs: 2 * DAY }),
    ];
  }

  november(): LogRecord[] {
    const [first, second, third] = [NOVEMBER + 20 * MINUTE, NOVEMBER + 3 * HOUR, NOVEMBER + 5 * HOUR];
    return [
      this.#scrape(first, {
        rows: [
          cpu('web', 'a', first, 1800),
          cpu('web', 'jump', first, 9e6),
          requests('web', first, 70, 2 * HOUR),
        ],
      }),
      // As if the one before had never come: the interval begins in October.
      this.#scrape(second, { rows: [cpu('web', 'jump', second, 400)] }),
      this.#scrape(third, { rows: [born('web', 'born', third, NOVEMBER - HOUR)] }),
      this.#scrape(NOVEMBER + 2 * DAY, { rows: [] }),
      this.#scrape(NOVEMBER + 2 * DAY, { cluster: 'south', rows: [] }),
    ];
  }

  /** A pod of October that nobody had heard of, and a series that comes back after weeks. */
  afterTheClose(): LogRecord[] {
    const t = NOVEMBER - 30 * MINUTE;
    const back = NOVEMBER + 10 * DAY;
    return [
      this.#scrape(t, { rows: [cpu('web', 'late', t, 3)], delayMs: 5 * DAY }),
      this.#scrape(t + 10 * MINUTE, { rows: [cpu('web', 'late', t + 10 * MINUTE, 12)], delayMs: 5 * DAY }),
      this.#scrape(back, {
        rows: [cpu('db', 'b', back, 90), requests('web', back, 11_000, 10 * DAY + HOUR)],
      }),
      this.#scrape(back, { rows: [born('web', 'long', back, NOVEMBER - 2 * HOUR)] }),
    ];
  }

  untilDecember(): LogRecord[] {
    const end = NOVEMBER + 32 * DAY + HOUR;
    return ['north', 'south'].map((cluster) => this.#scrape(end, { cluster, rows: [] }));
  }

  /** A sample between two others, long after. */
  lateAt(t: number): LogRecord[] {
    return [this.#scrape(t, { rows: [cpu('web', 'a', t, 600)], delayMs: 36 * DAY })];
  }

  #scrape(t: number, { cluster = 'north', delayMs = 1_500, rows = [] }: Scrape): LogRecord {
    const up: Row = { name: 'up', labels: {}, timeMs: t, value: { asDouble: 1 } };
    const topic = `usage.${cluster}`;
    const offset = this.#offsets.get(topic) ?? 0n;
    this.#offsets.set(topic, offset + 1n);
    const labelled = [up, ...rows].map((row) => ({ ...row, labels: { cluster, ...row.labels } }));
    const data = metricsData({ job: 'kubelet', instance: 'n1' }, labelled);
    return logRecord({ topic, partition: 0, offset, timestampMs: t + delayMs, metricsData: data });
  }
}

function pod(namespace: string, name: string): Record<string, string> {
  return { node: 'n1', namespace, pod: name, id: `/kubepods/pod-${name}` };
}

function cpu(namespace: string, name: string, t: number, seconds: number): Row {
  const labels = pod(namespace, name);
  return { name: 'container_cpu_usage_seconds_total', labels, timeMs: t, value: { asDouble: seconds } };
}

function memory(namespace: string, name: string, t: number, bytes: number): Row {
  const labels = pod(namespace, name);
  return { name: 'container_memory_working_set_bytes', labels, timeMs: t, value: { asDouble: bytes } };
}

/** First seen at t, with a start of its own. */
function born(namespace: string, name: string, t: number, startMs: number): Row {
  const labels = { ...pod(namespace, name), interface: 'eth0' };
  const metric = 'container_network_transmit_bytes_total';
  return { name: metric, labels, timeMs: t, startMs, value: { asDouble: 30_000 }, type: 'sum' };
}

/** A delta point on the time before t. */
function requests(namespace: string, t: number, count: number, lengthMs = 5 * MINUTE): Row {
  const labels = { k8s_namespace_name: namespace };
  const name = 'http_server_request_duration_seconds_count';
  return { name, labels, timeMs: t, startMs: t - lengthMs, value: { asDouble: count }, type: 'delta' };
}

function owner(namespace: string, tenant: string, t: number): Row[] {
  const labels = { namespace, label_gh0stcloud_io_tenant: tenant };
  return [{ name: 'kube_namespace_labels', labels, timeMs: t, value: { asDouble: 1 } }];
}
