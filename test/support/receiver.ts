/** A receiver on a real port, before the embedded log, and what came of what was sent to it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { z } from 'zod';
import { receiverConfig, type receiverConfigSchema } from '../../collectors/receiver/config.ts';
import { Receiver } from '../../collectors/receiver/receiver.ts';
import { EmbeddedLog, embeddedLogSchema } from '../../core/eventlog/embedded.ts';
import type { LogAppend, LogRecord } from '../../core/eventlog/sample-log.ts';
import { type Clock, SystemClock } from '../../core/runtime/clock.ts';
import type { FactFields, FactName, FactSink } from '../../core/runtime/facts.ts';
import { decodePublished } from './published-otlp.ts';
import { snappy } from './remote-write.ts';

export const TOKEN = 'token-of-cluster-rt1';
export const OTHER_TOKEN = 'token-of-cluster-rt2';
const QUIET: FactSink = { event: () => undefined };
const CLOCK = new SystemClock();

type Settings = Partial<z.input<typeof receiverConfigSchema>>;
type Limits = NonNullable<Settings['limits']>;

export interface ReceiverOptions {
  readonly settings?: Settings;
  readonly limits?: Limits;
  readonly clock?: Clock;
  /** Runs before an append reaches the log. */
  readonly beforeAppend?: (records: readonly LogAppend[]) => Promise<void> | void;
}

const open: { stop(): Promise<void> }[] = [];

/** For afterEach. */
export async function stopReceivers(): Promise<void> {
  for (const one of open.splice(0).reverse()) await one.stop();
}

/** A log that can be taken away and brought back, with everything that it has. */
export class OutageLog {
  readonly #directory = mkdtempSync(join(tmpdir(), 'receiver-log-'));
  #log = this.#open();

  append(records: readonly LogAppend[]): Promise<void> {
    return this.#log.append(records);
  }

  /** From here on appends fail as they do when the log is gone. */
  async takeAway(): Promise<void> {
    await this.#log.close();
  }

  bringBack(): void {
    this.#log = this.#open();
  }

  async records(topic = 'usage.rt1'): Promise<readonly LogRecord[]> {
    const consumer = await this.#log.consumer({ group: 'test', topics: [topic] });
    const all: LogRecord[] = [];
    for (;;) {
      const some = await consumer.poll({ maxBytes: 64 * 1024 * 1024, waitMs: 1 });
      if (some.length === 0) break;
      all.push(...some);
    }
    await consumer.close();
    return all;
  }

  async stop(): Promise<void> {
    await this.#log.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #open(): EmbeddedLog {
    const config = embeddedLogSchema.parse({ directory: this.#directory });
    return new EmbeddedLog(config, { clock: CLOCK, facts: QUIET });
  }
}

export function openOutageLog(): OutageLog {
  const log = new OutageLog();
  open.push(log);
  return log;
}

/** Clusters rt1 and rt2, known by a token each. */
export async function startReceiver(options: ReceiverOptions = {}, log = openOutageLog()) {
  const { settings, limits = {}, clock = CLOCK, beforeAppend = () => undefined } = options;
  const told: { readonly name: FactName; readonly fields: unknown }[] = [];
  const facts: FactSink = { event: (name, fields) => void told.push({ name, fields }) };
  const clusters = { rt1: { tokens: [TOKEN], limits }, rt2: { tokens: [OTHER_TOKEN] } };
  const receiver = new Receiver(receiverConfig({ port: 0, clusters, ...settings }), {
    clock,
    facts,
    log: {
      append: async (records) => {
        await beforeAppend(records);
        await log.append(records);
      },
    },
  });
  await receiver.start();
  open.push(receiver);
  return {
    receiver,
    log,
    url: receiver.url,
    of: <N extends FactName>(name: N) =>
      told.filter((one) => one.name === name).map(({ fields }) => fields as FactFields<N>),
    rows: async (topic?: string) => rowsOf(await log.records(topic)),
  };
}

export interface Row {
  readonly name: string;
  readonly kind: string;
  readonly timeMs: number;
  readonly startMs: number | undefined;
  readonly value: number | string | undefined;
  readonly labels: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
}

interface Attribute {
  readonly key: string;
  readonly value?: Readonly<Record<string, unknown>>;
}
interface Published {
  readonly resourceMetrics?: readonly {
    readonly resource?: { readonly attributes?: readonly Attribute[] };
    readonly scopeMetrics?: readonly { readonly metrics?: readonly PublishedMetric[] }[];
  }[];
}
/** Texts beside one kind of data. */
type PublishedMetric = Readonly<Record<string, string | { readonly dataPoints?: readonly PublishedPoint[] }>>;
interface PublishedPoint {
  readonly timeUnixNano?: string;
  readonly startTimeUnixNano?: string;
  readonly flags?: number;
  readonly asDouble?: number;
  readonly asInt?: string;
  readonly count?: string;
  readonly attributes?: readonly Attribute[];
}

/** Points as a decoder that is not ours reads them. */
export function rowsOf(records: readonly { readonly value: Uint8Array }[]): readonly Row[] {
  return records
    .flatMap(({ value }) => (decodePublished(value) as Published).resourceMetrics ?? [])
    .flatMap(({ resource, scopeMetrics = [] }) =>
      scopeMetrics
        .flatMap(({ metrics = [] }) => metrics)
        .flatMap((metric) =>
          pointsOf(metric).map((point) => rowOf(point, attributesOf(resource?.attributes))),
        ),
    );
}

function pointsOf(metric: PublishedMetric): { name: string; kind: string; point: PublishedPoint }[] {
  const { name = '' } = metric;
  return Object.entries(metric).flatMap(([kind, data]) => {
    const points = typeof data === 'string' ? [] : (data.dataPoints ?? []);
    return points.map((point) => ({ name: typeof name === 'string' ? name : '', kind, point }));
  });
}

function rowOf(
  { name, kind, point }: { name: string; kind: string; point: PublishedPoint },
  resource: Row['resource'],
): Row {
  const { timeUnixNano = '0', startTimeUnixNano, flags = 0 } = point;
  const value = point.asDouble ?? point.asInt ?? point.count;
  return {
    name,
    kind,
    timeMs: Number(BigInt(timeUnixNano) / 1_000_000n),
    startMs: startTimeUnixNano === undefined ? undefined : Number(BigInt(startTimeUnixNano) / 1_000_000n),
    value: (flags & 1) === 1 && value === undefined ? 'stale' : value,
    labels: attributesOf(point.attributes),
    resource,
  };
}

function attributesOf(attributes: readonly Attribute[] = []): Row['labels'] {
  return Object.fromEntries(attributes.map(({ key, value = {} }) => [key, Object.values(value)[0]]));
}

export interface Sent {
  readonly token?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A remote write of an encoded message, packed here. */
export function postWrite(url: string, message: Uint8Array, version: '1.0' | '2.0', sent: Sent = {}) {
  const proto = version === '1.0' ? '' : ';proto=io.prometheus.write.v2.Request';
  return post(`${url}/api/v1/write`, snappy(message), {
    ...sent,
    headers: {
      'content-type': `application/x-protobuf${proto}`,
      'content-encoding': 'snappy',
      ...sent.headers,
    },
  });
}

export async function post(url: string, body: Uint8Array, { token = TOKEN, headers = {} }: Sent = {}) {
  const authorization: Record<string, string> = token === '' ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(url, {
    method: 'POST',
    body: Uint8Array.from(body),
    headers: { ...authorization, ...headers },
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, bytes, text: bytes.toString('utf8') };
}

/** The three counts that remote write answers with. */
export function writtenBy({ headers }: { readonly headers: Headers }): readonly (string | null)[] {
  return ['samples', 'histograms', 'exemplars'].map((what) =>
    headers.get(`x-prometheus-remote-write-${what}-written`),
  );
}
