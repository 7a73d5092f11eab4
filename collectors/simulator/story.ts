import { type WorldConfig, World, type WorldObserver } from './world.ts';
import { MOVING_NAMESPACE, PLATFORM_NAMESPACE } from './inventory.ts';
import { type Pod } from './pod.ts';
import { type PodCgroup } from './pod-cgroup.ts';
import { type Workload } from './workload.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const GIB = 1_073_741_824n;

/** When the rare things first happen, after the world's first moment: all within ten minutes. */
export const FIRST = {
  job: 20 * SECOND,
  churn: 35 * SECOND,
  containerRestart: 50 * SECOND,
  rollout: 90 * SECOND,
  scale: 2 * MINUTE,
  tenantMove: 4 * MINUTE,
  claimResize: 5 * MINUTE,
  exporterRestart: 6 * MINUTE,
} as const;

/** A world in which things happen: often in its first ten minutes, and then for days. */
export function beginWorld(config: WorldConfig, observer: WorldObserver | null = null): World {
  const world = new World(config, observer);
  const plan = (firstMs: number, periodMs: number, happen: (world: World, t: number) => void): void =>
    world.agenda.every(config.startMs + firstMs, periodMs, (t) => happen(world, t));
  plan(5 * SECOND, 5 * SECOND, changeLoads);
  plan(8 * SECOND, 17 * SECOND, writeFiles);
  plan(FIRST.job, 2 * MINUTE, runJobs);
  plan(FIRST.churn, 41 * SECOND, churn);
  plan(FIRST.containerRestart, 55 * SECOND, restartContainer);
  plan(FIRST.rollout, 7 * MINUTE, rollOut);
  plan(FIRST.scale, 150 * SECOND, scale);
  plan(FIRST.tenantMove, 6 * HOUR, moveNamespace);
  plan(FIRST.claimResize, 12 * HOUR, resizeClaim);
  plan(FIRST.exporterRestart, 47 * MINUTE, restartExporter);
  return world;
}

function changeLoads(world: World, t: number): void {
  for (let count = 0; count < 4; count += 1) {
    const chosen = runningPod(world);
    if (chosen !== null) world.changeLoad(chosen.cgroup, t);
  }
}

function writeFiles(world: World, t: number): void {
  const claim = world.random.pick(world.claims.filter(({ mounted }) => mounted));
  if (claim !== undefined) world.fill(claim, t);
}

function runJobs(world: World, t: number): void {
  for (const workload of world.workloads) if (workload.spec.kind === 'Job') world.run(workload, t);
}

/** Pods come and go; the ones that see the node's own network stay, as agents do. */
function churn(world: World, t: number): void {
  const workload = world.random.pick(controllers(world, ['Deployment', 'StatefulSet']));
  const pod = workload && world.random.pick([...workload.pods]);
  if (workload !== undefined && pod !== undefined) world.replace(workload, pod, t);
}

function restartContainer(world: World, t: number): void {
  const chosen = runningPod(world);
  if (chosen !== null) world.restartContainer(chosen.cgroup, chosen.pod, t);
}

/** A new revision takes over one pod after another. */
function rollOut(world: World, t: number): void {
  const workload = world.random.pick(controllers(world, ['Deployment']));
  if (workload === undefined) return;
  workload.revision = world.random.hex(10);
  const step = (at: number): void => {
    const old = [...workload.pods].find(({ revision }) => revision !== workload.revision);
    if (old === undefined) return;
    world.replace(workload, old, at);
    world.agenda.at(at + 5 * SECOND, step);
  };
  step(t);
}

function scale(world: World, t: number): void {
  const workload = world.random.pick(controllers(world, ['Deployment']));
  if (workload === undefined) return;
  const most = workload.spec.replicas + 2;
  world.scale(workload, workload.replicas === most ? workload.spec.replicas : most, t);
}

/** The laboratory changes hands between the first two tenants. */
function moveNamespace(world: World, t: number): void {
  const [first, second] = world.config.tenants;
  const owner = world.namespaces.get(MOVING_NAMESPACE);
  world.own(MOVING_NAMESPACE, (owner === first ? second : first) ?? null, t);
}

/** 10 GiB more, up to 200: a claim can grow and never shrink. */
function resizeClaim(world: World, t: number): void {
  const claim = world.random.pick(world.claims.filter(({ size }) => size.level < 200n * GIB));
  if (claim !== undefined) world.resize(claim, 10n * GIB, t);
}

function restartExporter(world: World, t: number): void {
  const exporter = world.random.pick(world.exporters);
  if (exporter !== undefined) world.restartExporter(exporter, t);
}

function controllers(world: World, kinds: readonly string[]): Workload[] {
  return world.workloads.filter(
    ({ spec }) => kinds.includes(spec.kind) && spec.namespace !== PLATFORM_NAMESPACE,
  );
}

function runningPod(world: World): { readonly pod: Pod; readonly cgroup: PodCgroup } | null {
  const workload = world.random.pick(world.workloads);
  const pod = workload && world.random.pick([...workload.pods]);
  return pod?.cgroup ? { pod, cgroup: pod.cgroup } : null;
}
