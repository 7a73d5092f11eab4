/**
 * What identifies the samples of a target: its resource (job and instance, as the OpenTelemetry Collector
 * names them) and its own labels. The same names that Alloy writes, so that nothing downstream can tell who
 * scraped.
 */
import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import type { KeyValue } from '../../core/otlp/metrics-data.ts';

const KEY_BYTES = 16;

export interface TargetAddress {
  readonly url: string;
  readonly instance?: string | undefined;
}

/** host:port with the scheme's own port written out, as Prometheus makes `instance`. */
export function instanceOf(target: TargetAddress): string {
  if (target.instance !== undefined) return target.instance;
  const url = new URL(target.url);
  return `${url.hostname}:${url.port === '' ? defaultPort(url) : url.port}`;
}

function defaultPort(url: URL): string {
  return url.protocol === 'https:' ? '443' : '80';
}

/** One target is one job and instance: what births and coverage are judged by. */
export function targetId(target: TargetAddress & { readonly job: string }): string {
  return `${target.job} ${instanceOf(target)}`;
}

export interface ResourceId {
  readonly job: string;
  readonly instance: string;
}

/**
 * As Alloy writes them: the address is left out where it is a loopback IP, the port is empty where there is
 * none.
 */
export function resourceAttributes({ job, instance }: ResourceId, scheme: string): readonly KeyValue[] {
  const [host, port] = splitInstance(instance);
  const pairs: [string, string][] = [
    ['service.name', job],
    ['service.instance.id', instance],
    ['server.port', port],
    ['url.scheme', scheme],
  ];
  if (!isLoopback(host)) pairs.splice(1, 0, ['server.address', host]);
  return pairs.map(([key, stringValue]) => ({ key, value: { stringValue } }));
}

/** Sixteen bytes that stay the same for a resource, so that it stays on one partition. */
export function recordKey(attributes: readonly KeyValue[]): Uint8Array {
  const pairs = attributes.map(({ key, value }) => [key, value?.stringValue ?? '']).sort();
  const digest = createHash('sha256').update(JSON.stringify(pairs)).digest();
  return Uint8Array.prototype.slice.call(digest, 0, KEY_BYTES);
}

function splitInstance(instance: string): readonly [host: string, port: string] {
  const colon = instance.lastIndexOf(':');
  if (colon === -1 || !/^\d+$/.test(instance.slice(colon + 1))) return [instance, ''];
  return [instance.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), instance.slice(colon + 1)];
}

function isLoopback(host: string): boolean {
  return (isIP(host) === 4 && host.startsWith('127.')) || host === '::1';
}
