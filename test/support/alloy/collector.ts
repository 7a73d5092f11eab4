/**
 * What an Alloy with a given configuration does between its targets and its sink, as far as usage goes: which
 * targets it scrapes and how, which rows of them pass, with which labels, under which resource. It runs the
 * files as they are committed; scraping, queues and sending are Alloy's own and are not stood in for.
 */
import type { Configuration } from './configuration.ts';
import {
  argument,
  referred,
  rulesOf,
  targetsOf,
  text,
  type Discovered,
  type Environment,
} from './evaluate.ts';
import type { Block } from './parser.ts';
import { relabel, type Labels, type RelabelRule } from './relabel.ts';

/** Where usage leaves for the log; what comes here has passed. */
const SINKS: readonly string[] = ['otelcol.receiver.prometheus.usage', 'prometheus.remote_write.usage'];

export interface CollectorOptions {
  readonly env: Environment;
  readonly discovered?: Discovered;
}

/** One `prometheus.scrape` whose rows reach the sink of usage. */
export interface Scrape {
  readonly label: string;
  readonly honorLabels: boolean;
  readonly tracksStaleness: boolean;
  /** With job, instance, `__address__` and `__metrics_path__`. */
  readonly targets: readonly Labels[];
}

export class AlloyCollector {
  readonly #configuration: Configuration;
  readonly #env: Environment;
  readonly #discovered: Discovered;
  /** The rules on each way from a scrape to the sink, one component after the other. */
  readonly #ways = new Map<string, readonly (readonly RelabelRule[])[]>();

  constructor(configuration: Configuration, { env, discovered = {} }: CollectorOptions) {
    this.#configuration = configuration;
    this.#env = env;
    this.#discovered = discovered;
    for (const address of configuration.addressesOf('prometheus.scrape')) {
      const ways = this.#waysFrom(address);
      if (ways.length > 1)
        throw new Error(`${address} reaches the sink on ${ways.length} ways: twice as much`);
      if (ways[0] !== undefined) this.#ways.set(address.slice('prometheus.scrape.'.length), ways[0]);
    }
  }

  scrapes(): Scrape[] {
    return [...this.#ways.keys()].map((label) => {
      const block = this.#configuration.component(`prometheus.scrape.${label}`);
      return {
        label,
        honorLabels: argument(block, 'honor_labels', this.#env) === true,
        tracksStaleness: argument(block, 'track_timestamps_staleness', this.#env) === true,
        targets: this.#targets(block),
      };
    });
  }

  /** The labels with which a row (`__name__` among them) reaches the sink; undefined: it does not. */
  pass(scrape: string, row: Labels): Labels | undefined {
    const way = this.#ways.get(scrape);
    if (way === undefined) throw new Error(`no usage comes from ${scrape}`);
    return way.reduce<Labels | undefined>(
      (labels, rules) => (labels === undefined ? undefined : relabel(labels, rules)),
      row,
    );
  }

  /** The resource of a target's records, as the transform leaves it. */
  resource(job: string, instance: string): Map<string, string> {
    const [host = '', port = ''] = instance.split(':');
    const attributes = new Map([
      ['service.name', job],
      ['service.instance.id', instance],
      ['server.address', host],
      ['server.port', port],
      ['url.scheme', ''],
    ]);
    const transform = this.#configuration.component('otelcol.processor.transform.usage');
    for (const block of transform.blocks) {
      if (block.name !== 'metric_statements') continue;
      if (text(block, 'context', this.#env) !== 'resource') throw new Error('only resources are transformed');
      for (const statement of argument(block, 'statements', this.#env) as readonly string[]) {
        transformed(attributes, statement);
      }
    }
    return attributes;
  }

  #targets(block: Block): Labels[] {
    const job = text(block, 'job_name', this.#env);
    const path = text(block, 'metrics_path', this.#env, '/metrics');
    const options = { env: this.#env, discovered: this.#discovered };
    return targetsOf(this.#configuration, block, options).map((target) => {
      const address = target.get('__address__') ?? '';
      const defaults = [
        ['job', job],
        ['instance', address],
        ['__metrics_path__', path],
      ] as const;
      return new Map([...defaults, ...target]);
    });
  }

  #waysFrom(address: string): (readonly (readonly RelabelRule[])[])[] {
    const block = this.#configuration.component(address);
    return referred(block, 'forward_to', this.#env).flatMap((next) => {
      if (SINKS.includes(next)) return [[]];
      const target = this.#configuration.component(next);
      if (target.name !== 'prometheus.relabel') return [];
      const rules = rulesOf(target, this.#env);
      return this.#waysFrom(next).map((rest) => [rules, ...rest]);
    });
  }
}

/** The two statements of OTTL that the sinks use. */
function transformed(attributes: Map<string, string>, statement: string): void {
  const set = /^set\(attributes\["([^"]+)"\], "([^"]*)"\)$/.exec(statement);
  if (set !== null) {
    attributes.set(set[1] ?? '', set[2] ?? '');
    return;
  }
  const kept = /^keep_keys\(attributes, (\[.*\])\)$/.exec(statement);
  if (kept === null) throw new Error(`no statement that is known here: ${statement}`);
  const names = JSON.parse(kept[1] ?? '[]') as readonly string[];
  for (const name of [...attributes.keys()]) if (!names.includes(name)) attributes.delete(name);
}
