/**
 * Fault model: while senders push, every process is killed (SIGKILL) at any moment, again and again: the
 * broker, the store, the collector, each aggregator; at work, while it starts, while others are away. Roles
 * are started again by an orchestrator, broker and store are, too; nothing else is mended. Disks do not fail,
 * and what the kernel has taken stays. When each kill comes is drawn from a seed, by how much was acknowledged.
 *
 * Afterwards three accounts of usage are held against each other: what the senders added up (traffic.ts),
 * what a replay of the topic gives that nothing disturbed, and what the disturbed pipeline says.
 */
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { captureLines } from '../../core/eventlog/capture.ts';
import { usageTopic } from '../../core/eventlog/usage-topic.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { metering } from '../e2e/program.ts';
import { Random } from '../property/worlds/random.ts';
import { usageReplayed } from '../support/usage-over-http.ts';
import { completeUsage, differences } from './complete-usage.ts';
import { Installation } from './installation.ts';
import { checkJournal, samplesStored, type JournalReport } from './journal.ts';
import { Sender, type Lane } from './sender.ts';
import { SERIES_PER_POD, Traffic, type WriteRequest } from './traffic.ts';

export interface ChaosPlan {
  readonly seed: number;
  readonly nodes: number;
  readonly podsPerNode: number;
  /** At least so many. */
  readonly samples: number;
  /** Of each process. */
  readonly kills: number;
  readonly aggregators: number;
  /** What the wall clock says: everything sent is of the hours before, so that nothing is early. */
  readonly nowMs: number;
}

export interface ChaosReport {
  /** What is not as it should be. */
  readonly problems: readonly string[];
  readonly samples: number;
  readonly usageRows: number;
  readonly journal: JournalReport;
  readonly requests: Sender['tries'];
  readonly kills: Readonly<Record<string, number>>;
  /** Ends that nobody asked for: what a role said last before its orchestrator started it again. */
  readonly ownEnds: readonly string[];
  readonly sentMs: number;
  readonly settledMs: number;
}

const CLUSTER = 'chaos';
const HOUR_MS = 3_600_000;
const STEP_MS = 30_000;
const LANES = 4;
const LOOK_MS = 20;
const clock = new SystemClock();

export async function chaosRun(plan: ChaosPlan, say: (line: string) => void): Promise<ChaosReport> {
  const installation = await Installation.start({ cluster: CLUSTER, aggregators: plan.aggregators });
  try {
    return await disturbed(installation, plan, say);
  } finally {
    await installation.stop();
  }
}

async function disturbed(
  installation: Installation,
  plan: ChaosPlan,
  say: (line: string) => void,
): Promise<ChaosReport> {
  const { nodes, podsPerNode, seed, samples } = plan;
  // Pods that are born later have fewer samples.
  const scrapes = Math.ceil((samples * 1.02) / (nodes * podsPerNode * SERIES_PER_POD));
  const startMs = Math.floor((plan.nowMs - scrapes * STEP_MS) / HOUR_MS) * HOUR_MS;
  const traffic = new Traffic({ cluster: CLUSTER, seed, nodes, podsPerNode, stepMs: STEP_MS, startMs });
  const sender = new Sender(installation.parts.receiver);
  const failed = new AbortController();
  const beganMs = clock.now();
  const kills = killsOf(installation, plan);
  const sending = sender
    .run(lanesOf(traffic, scrapes), failed.signal)
    .catch((error: unknown) => {
      throw new Error(`${String(error)}; the collector said: ${installation.parts.collector.said}`);
    })
    .finally(() => failed.abort());
  await Promise.all([sending, killing(kills, { sender, total: samples, say, signal: failed.signal })]);
  const sentMs = clock.now() - beganMs;
  say(`${sender.acknowledged} samples sent in ${seconds(sentMs)} s, every kill done; one more scrape`);
  // After all that, a fresh sample has to get through.
  await sender.run(lanesOf(traffic, 1), new AbortController().signal);
  const settledMs = clock.now();
  const { usage, problems } = await completeUsage(installation, traffic);
  say(`usage complete after ${seconds(clock.now() - settledMs)} s; replaying the topic`);
  const checked = await check(installation, { traffic, usage });
  return {
    problems: [...problems, ...checked.problems, ...checked.journal.problems],
    samples: traffic.samples,
    usageRows: usage.length,
    journal: checked.journal,
    requests: sender.tries,
    kills: Object.fromEntries(kills.map(({ name, done }) => [name, done])),
    ownEnds: installation.roles.flatMap(({ ownEnds }) => ownEnds),
    sentMs,
    settledMs: clock.now() - settledMs,
  };
}

/** So many scrapes of every node, dealt out to lanes; each lane sends in the order of time. */
export function lanesOf(traffic: Traffic, scrapes: number): readonly Lane[] {
  return Array.from({ length: LANES }, (_, lane) => {
    const nodes = traffic.nodes.filter((_node, index) => index % LANES === lane);
    const requests = function* (): Generator<WriteRequest, undefined> {
      for (let scrape = 0; scrape < scrapes; scrape++) {
        if (lane === 0) yield traffic.owners.next();
        for (const node of nodes) yield node.next();
      }
    };
    const all = requests();
    return {
      next: async () => {
        const { done, value } = all.next();
        return done === true ? undefined : value;
      },
    };
  });
}

interface Victim {
  readonly name: string;
  readonly kill: () => Promise<void>;
  /** By how much was acknowledged, from 0 to 1. */
  readonly at: readonly number[];
  done: number;
}

function killsOf(installation: Installation, { kills, seed }: ChaosPlan): readonly Victim[] {
  const random = new Random(seed);
  const { broker, store, collector, aggregators } = installation.parts;
  const again = (part: typeof broker | typeof store) => async (): Promise<void> => {
    await part.kill();
    await part.restart();
  };
  const victims: [string, () => Promise<void>][] = [
    ['broker', again(broker)],
    ['store', again(store)],
    ...[collector, ...aggregators].map((one): [string, () => Promise<void>] => [one.name, () => one.kill()]),
  ];
  return victims.map(([name, kill]) => {
    const at = Array.from({ length: kills }, (_, index) => (index + 0.05 + 0.9 * random.next()) / kills);
    return { name, kill, at, done: 0 };
  });
}

interface Killing {
  readonly sender: Sender;
  readonly total: number;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

async function killing(victims: readonly Victim[], { sender, total, say, signal }: Killing): Promise<void> {
  await Promise.all(
    victims.map(async (victim) => {
      for (const at of victim.at) {
        while (sender.acknowledged < at * total && !signal.aborted) await clock.sleep(LOOK_MS);
        await victim.kill();
        victim.done++;
        say(`${percent(sender.acknowledged / total)} sent: killed ${victim.name}, ${victim.done} times now`);
      }
    }),
  );
}

async function check(
  installation: Installation,
  { traffic, usage }: { traffic: Traffic; usage: readonly string[] },
): Promise<{ problems: readonly string[]; journal: JournalReport }> {
  const store = await installation.openStore();
  try {
    const journal = await checkJournal(store, usageTopic(CLUSTER), await installation.ends());
    const stored = await samplesStored(store, CLUSTER);
    const problems = stored === traffic.samples ? [] : [`${stored} samples stored of ${traffic.samples}`];
    const file = installation.file('captured.jsonl');
    await pipeline(
      captureLines(installation.parts.log, [usageTopic(CLUSTER)], { isEmptyTheEnd: false }),
      createWriteStream(file),
    );
    const { code, stdout, stderr } = await metering('replay', file);
    if (code !== 0) problems.push(`the replay ended with ${String(code)}: ${stderr}`);
    return { problems: [...problems, ...differences('the replay', usageReplayed(stdout), usage)], journal };
  } finally {
    await store.close();
  }
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}

function percent(part: number): string {
  return `${Math.min(100, Math.round(part * 100))} %`;
}
