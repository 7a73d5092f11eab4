import { type Clock } from '../../core/runtime/clock.ts';
import { invariant } from '../../core/runtime/errors.ts';
import { PLATFORM_NAMESPACE } from './inventory.ts';
import { beylaPage } from './pages/beyla.ts';
import { cadvisorPage } from './pages/cadvisor.ts';
import { kubeStatePage } from './pages/kube-state.ts';
import { resourcePage, volumesPage } from './pages/kubelet.ts';
import { PageServer, type PageResult } from './server.ts';
import { beginWorld } from './story.ts';
import { type TrueUsage, trueUsage } from './truth.ts';
import { type UnseenUsage, unseenUsage } from './visibility.ts';
import { type World, type WorldConfig } from './world.ts';

export interface SimulatorConfig {
  readonly cluster: string;
  /** The same seed and first moment make the same cluster, down to the last byte of a page. */
  readonly seed: string;
  readonly nodes: number;
  /** The first two share a namespace that moves between them. */
  readonly tenants: readonly string[];
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
}

/** A target as a scraper needs it; its labels go on every row. */
export interface SimulatorTarget {
  readonly job: string;
  readonly instance: string;
  readonly url: string;
  readonly labels: Readonly<Record<string, string>>;
}

interface Route {
  readonly path: string;
  readonly job: string;
  readonly instance: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Null while the target restarts. */
  readonly page: () => string | null;
}

/**
 * A Kubernetes cluster to scrape when there is none. Input: a seed and the time; output: pages of its
 * kubelets, of kube-state-metrics and of Beyla over HTTP, and the true usage behind them. Guarantee: pages
 * and truth are functions of (config, first moment, t) and of nothing else. A crash loses nothing but the
 * cluster itself: one that starts again later has other pods, as a real one would.
 */
export class ClusterSimulator {
  readonly #clock: Clock;
  readonly #worldConfig: WorldConfig;
  readonly #world: World;
  readonly #routes: readonly Route[];
  readonly #server: PageServer;

  constructor(config: SimulatorConfig, deps: { readonly clock: Clock }) {
    invariant(
      config.tenants.length >= 2 && config.nodes >= 1,
      'a cluster has two tenants and a node at least',
    );
    const { cluster, seed, nodes, tenants, host, port } = config;
    this.#clock = deps.clock;
    this.#worldConfig = { cluster, seed, nodes, tenants, startMs: deps.clock.now() };
    this.#world = beginWorld(this.#worldConfig);
    this.#routes = routesOf(this.#world);
    this.#server = new PageServer({ host, port }, { page: (path) => this.page(path) });
  }

  /** The world's first moment. */
  get startMs(): number {
    return this.#worldConfig.startMs;
  }

  /** Namespaces that settings have to declare as platform. */
  get platformNamespaces(): readonly string[] {
    return [PLATFORM_NAMESPACE];
  }

  start(): Promise<void> {
    return this.#server.start();
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** Known once it has started. */
  targets(): SimulatorTarget[] {
    const { origin } = this.#server;
    return this.#routes.map(({ path, job, instance, labels }) => ({
      job,
      instance,
      url: origin + path,
      labels,
    }));
  }

  paths(): string[] {
    return this.#routes.map(({ path }) => path);
  }

  /** What a path gives now. */
  page(path: string): PageResult {
    const route = this.#routes.find((each) => each.path === path);
    if (route === undefined) return { kind: 'unknown' };
    this.#world.advance(this.#clock.now());
    const text = route.page();
    return text === null ? { kind: 'down' } : { kind: 'page', text };
  }

  /** True usage of [fromMs, toMs) by hour, tenant, namespace and meter. */
  truth(fromMs: number, toMs: number): TrueUsage[] {
    return trueUsage(this.#worldConfig, fromMs, toMs);
  }

  /**
   * By how much metering may differ from `truth(fromMs, toMs)`, if it watched for just that time: every
   * target's first scrape in the first interval, its last in the last one, never more than the interval
   * apart. With a clock that stands still while a page is fetched, `latencyMs` is 0.
   */
  unseen(fromMs: number, toMs: number, scrapeIntervalMs: number, latencyMs = 0): UnseenUsage[] {
    return unseenUsage(this.#worldConfig, { fromMs, toMs, intervalMs: scrapeIntervalMs, latencyMs });
  }
}

function routesOf(world: World): Route[] {
  const { cluster } = world.config;
  const routes: Route[] = world.exporters.flatMap((exporter) => {
    const { node } = exporter;
    const shared = { instance: node.name, labels: { cluster, node: node.name } };
    const path = `/nodes/${node.name}`;
    return [
      {
        ...shared,
        path: `${path}/metrics/cadvisor`,
        job: 'kubelet-cadvisor',
        page: () => cadvisorPage(world, node),
      },
      { ...shared, path: `${path}/metrics`, job: 'kubelet', page: () => volumesPage(world, node) },
      {
        ...shared,
        path: `${path}/metrics/resource`,
        job: 'kubelet-resource',
        page: () => resourcePage(world, node),
      },
      {
        ...shared,
        path: `${path}/beyla`,
        job: 'beyla-network',
        page: () => beylaPage(exporter, world.now),
      },
    ];
  });
  const job = 'kube-state-metrics';
  routes.push({
    path: `/${job}`,
    job,
    instance: job,
    labels: { cluster },
    page: () => kubeStatePage(world),
  });
  return routes;
}
