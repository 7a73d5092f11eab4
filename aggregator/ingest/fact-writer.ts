/** Rows that are facts, to the batch; leaves out what this process has already told the store. */
import { owningHour } from '../../core/metering/hour.ts';
import { secondsToMs } from '../../core/metering/quantity.ts';
import type { DetailMeaning } from './admission.ts';
import type { Batch, Target } from './batch.ts';
import type { FactSource } from './source-row.ts';

export interface FactReading {
  readonly t: number;
  /** Undefined: a staleness marker. */
  readonly value: number | undefined;
}

/** No start lies beyond this; what says so says nothing. */
const MAX_START_SECONDS = 1e12;

/** Where facts go, and how to forget them again if their record turns out to be malformed. */
export interface Taken {
  readonly batch: Batch;
  readonly undo: (() => void)[];
}

export class FactWriter {
  /** Smallest start told per container, and the host-network pods told. */
  readonly #containers = new Map<bigint, number>();
  readonly #hostNetwork = new Set<string>();
  /** Of each row that is a sighting, the newest told: the first of its hour, if things come in order. */
  readonly #told = new Map<DetailMeaning, number>();

  reset(): void {
    this.#containers.clear();
    this.#hostNetwork.clear();
    this.#told.clear();
  }

  /** False: this reading says nothing. */
  take({ meaning, target, startKey }: FactSource, reading: FactReading, into: Taken): boolean {
    const { batch } = into;
    if (meaning.kind === 'up') return up(target, reading, batch);
    if (reading.value === undefined) return false;
    const value = reading.value;
    switch (meaning.kind) {
      case 'process_start':
        return processStart(target, reading.t, value, batch);
      case 'container_start':
        return this.#containerStart(target.cluster, startKey, value, into);
      case 'label':
        batch.facts.labels.push({
          cluster: target.cluster,
          namespace: meaning.namespace,
          t: reading.t,
          tenant: meaning.tenant,
        });
        return true;
      case 'host_network':
        return this.#onHostNetwork(target.cluster, meaning.podKeys, into);
      case 'pod_ended':
        if (value !== 1) return false;
        batch.facts.podEnds.push({ cluster: target.cluster, podUid: meaning.podUid, t: reading.t });
        return true;
      case 'detail':
        return this.#detail(target.cluster, meaning, reading.t, into);
    }
  }

  /** One sighting of a value in an hour is enough: the first. */
  #detail(cluster: string, meaning: DetailMeaning, t: number, { batch, undo }: Taken): boolean {
    const before = this.#told.get(meaning);
    if (before !== undefined && t >= before && owningHour(t) === owningHour(before)) return false;
    this.#told.set(meaning, t);
    undo.push(() => {
      if (before === undefined) this.#told.delete(meaning);
      else this.#told.set(meaning, before);
    });
    const { namespace, subject, value } = meaning;
    batch.facts.details.push({ cluster, namespace, subject, t, value });
    return true;
  }

  #containerStart(cluster: string, key: bigint, seconds: number, { batch, undo }: Taken): boolean {
    if (seconds <= 0 || seconds > MAX_START_SECONDS) return false;
    const start = secondsToMs(seconds);
    const before = this.#containers.get(key);
    if (before !== undefined && before <= start) return true;
    this.#containers.set(key, start);
    undo.push(() => {
      if (before === undefined) this.#containers.delete(key);
      else this.#containers.set(key, before);
    });
    batch.facts.containerStarts.push({ cluster, key, start });
    return true;
  }

  #onHostNetwork(cluster: string, podKeys: readonly string[], { batch, undo }: Taken): boolean {
    for (const podKey of podKeys) {
      const key = `${cluster}\n${podKey}`;
      if (this.#hostNetwork.has(key)) continue;
      this.#hostNetwork.add(key);
      undo.push(() => this.#hostNetwork.delete(key));
      batch.facts.hostNetwork.push({ cluster, podKey });
    }
    return true;
  }
}

function processStart(target: Target, t: number, seconds: number, batch: Batch): boolean {
  if (seconds <= 0 || seconds > MAX_START_SECONDS) return false;
  batch.facts.processStarts.push({ target, t, start: secondsToMs(seconds) });
  return true;
}

function up(target: Target, reading: FactReading, batch: Batch): boolean {
  const value = reading.value === undefined ? -1 : reading.value === 1 ? 1 : 0;
  batch.facts.scrapes.push({ target, t: reading.t, up: value });
  return true;
}
