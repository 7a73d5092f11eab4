/**
 * Kafka, looked at from where a role runs. In: the role's settings, and what it does with which topics. Out:
 * findings. Nothing is changed: no topic, no record, no group.
 */
import type { Clock } from '../../runtime/clock.ts';
import { skewFinding, SKEW_MS } from '../../runtime/clock-skew.ts';
import type { FactSink } from '../../runtime/facts.ts';
import { faultFinding, type Finding } from '../../runtime/finding.ts';
import { KafkaAdmin, type Bounds } from './admin.ts';
import { KafkaClients } from './client.ts';
import { registerCodecs } from './codecs.ts';
import type { KafkaLogConfig } from './config.ts';
import { ConnectionWatch } from './connection-watch.ts';
import { boundAnswers } from './decode-messages.ts';
import { translateFault } from './faults.ts';
import { lagFinding } from './lag.ts';
import { Probes } from './probes.ts';
import { calmRequestQueues } from './request-queues.ts';
import { Topics } from './topics.ts';

/** Of a topic with more, the newest record is looked for in these only. */
const SAMPLED_PARTITIONS = 16;
const REACH =
  'see that it runs, that brokers, ssl and sasl are right, and that a firewall lets it be reached';
const RIGHTS = 'give the right with kafka-acls.sh, as docs/kafka.md shows';

export interface KafkaUse {
  /** As the group of the settings. */
  readonly reads: readonly string[];
  readonly appends: readonly string[];
}

export interface ExaminationDeps {
  readonly clock: Clock;
  readonly facts: FactSink;
}

export async function examineKafka(
  config: KafkaLogConfig,
  use: KafkaUse,
  deps: ExaminationDeps,
): Promise<readonly Finding[]> {
  registerCodecs(config.maxUnpackedBytes);
  boundAnswers(config.fetch.bufferBytes);
  calmRequestQueues();
  const brokers = await examineBrokers(config, deps);
  if (!brokers.some(({ level }) => level === 'ok')) {
    const seen = 'topics, rights, clock and lag are not checked: no broker answers';
    return [...brokers, { level: 'info', name: 'kafka', seen }];
  }
  const watch = new ConnectionWatch(deps.facts);
  const clients = new KafkaClients(config, { clock: deps.clock, watch });
  const admin = new KafkaAdmin(clients);
  const examination = new Examination(config, { ...deps, clients, admin });
  try {
    return [...brokers, ...(await examination.findings(use))];
  } finally {
    await admin.close();
  }
}

interface Cluster {
  readonly brokers: readonly { readonly host: string; readonly port: number }[];
  readonly controller: number | null;
}

/** Those of the settings, and those that they name: clients are sent on to these. */
async function examineBrokers(config: KafkaLogConfig, deps: ExaminationDeps): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const pending = new Set(config.brokers);
  // A set gives what is added while it is walked.
  for (const address of pending) {
    const isNamed = config.brokers.includes(address);
    const name = `broker ${address}`;
    try {
      const { brokers, controller } = await describe({ ...config, brokers: [address] }, deps);
      for (const { host, port } of brokers) pending.add(`${host}:${port}`);
      const seen = `answers; the cluster has ${brokers.length} brokers`;
      if (controller === null || controller < 0) {
        const advice = 'see the logs of the controllers; without one, no topic is made and no leader chosen';
        findings.push({ level: 'warn', name, seen: `${seen} and no controller`, advice });
      } else findings.push({ level: 'ok', name, seen: `${seen}, controller ${controller}` });
    } catch (error) {
      const advice = isNamed ? REACH : `${REACH}; other brokers send clients there (advertised.listeners)`;
      findings.push(faultFinding(name, error, advice));
    }
  }
  return findings;
}

async function describe(config: KafkaLogConfig, { clock, facts }: ExaminationDeps): Promise<Cluster> {
  const clients = new KafkaClients(config, { clock, watch: new ConnectionWatch(facts) });
  try {
    const admin = clients.create({ retries: 0 }).kafka.admin();
    try {
      await admin.connect();
      return await admin.describeCluster();
    } finally {
      await admin.disconnect();
    }
  } catch (error) {
    throw translateFault(error, { operation: 'describe the cluster', principal: clients.principal });
  }
}

interface ConnectedDeps extends ExaminationDeps {
  readonly clients: KafkaClients;
  readonly admin: KafkaAdmin;
}

class Examination {
  readonly #config: KafkaLogConfig;
  readonly #deps: ConnectedDeps;
  readonly #topics: Topics;

  constructor(config: KafkaLogConfig, deps: ConnectedDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#topics = new Topics(config, deps);
  }

  async findings({ reads, appends }: KafkaUse): Promise<readonly Finding[]> {
    const findings: Finding[] = [];
    for (const topic of new Set([...reads, ...appends])) {
      const { isThere, found } = await this.#topic(topic);
      findings.push(...found);
      if (!isThere) continue;
      if (appends.includes(topic)) findings.push(await this.#append(topic));
      if (reads.includes(topic)) findings.push(...(await this.#read(topic)));
    }
    return findings;
  }

  /** What is missing, or not shown to this user, cannot be asked further. */
  async #topic(topic: string): Promise<{ isThere: boolean; found: readonly Finding[] }> {
    const name = `topic ${topic}`;
    try {
      const problems = await this.#topics.problemsOf(topic);
      const found = problems.map(({ problem, command }): Finding => {
        return { level: 'fail', name, seen: problem, advice: `run ${command}` };
      });
      const bounds = await this.#boundsOf(topic);
      if (bounds === undefined) return { isThere: false, found };
      const seen = `${bounds.length} partitions, with the settings it has to have`;
      return { isThere: true, found: found.length > 0 ? found : [{ level: 'ok', name, seen }] };
    } catch (error) {
      const advice = `${RIGHTS} (Describe, DescribeConfigs)`;
      return { isThere: false, found: [faultFinding(name, error, advice)] };
    }
  }

  async #boundsOf(topic: string): Promise<readonly Bounds[] | undefined> {
    if (!(await this.#topics.exists(topic))) return undefined;
    return await this.#deps.admin.bounds(topic);
  }

  async #append(topic: string): Promise<Finding> {
    const name = `right to append to ${topic}`;
    return await this.#probe(name, { right: 'Write', of: `append to ${topic}` }, async (probes) => {
      await probes.append(topic);
      return { level: 'ok', name, seen: 'granted' };
    });
  }

  async #read(topic: string): Promise<readonly Finding[]> {
    const { groupId } = this.#config;
    const bounds = await this.#deps.admin.bounds(topic);
    const read = `right to read ${topic}`;
    const findings = [
      await this.#probe(read, { right: 'Read', of: `read ${topic}` }, async (probes) => {
        return await this.#newest(topic, { probes, bounds });
      }),
    ];
    const member = `right to join group ${groupId}`;
    const attempt = { right: 'Read on the group', of: `be a member of group ${groupId}` };
    const joined = await this.#probe(member, attempt, async (probes) => {
      await probes.join(groupId, topic);
      return { level: 'ok', name: member, seen: 'granted' };
    });
    findings.push(joined);
    if (joined.level !== 'ok') return findings;
    const committed = await this.#deps.admin.committed(groupId, topic);
    return [...findings, lagFinding(`lag of ${groupId} in ${topic}`, { bounds, committed })];
  }

  /** Reading shows that it is allowed, and what the clocks of those who append say. */
  async #newest(
    topic: string,
    { probes, bounds }: { probes: Probes; bounds: readonly Bounds[] },
  ): Promise<Finding> {
    const name = `right to read ${topic}`;
    let newestMs: number | undefined;
    for (const { partition, low, high } of bounds.slice(0, SAMPLED_PARTITIONS)) {
      const offset = high > low ? high - 1n : high;
      const ms = await probes.newest(topic, { partition, offset });
      if (ms !== undefined) newestMs = Math.max(ms, newestMs ?? ms);
    }
    if (newestMs === undefined) return { level: 'ok', name, seen: 'granted; no record to read yet' };
    const aheadMs = newestMs - this.#deps.clock.now();
    if (aheadMs < SKEW_MS) {
      return {
        level: 'ok',
        name,
        seen: `granted; the newest record is of ${new Date(newestMs).toISOString()}`,
      };
    }
    return skewFinding(`clock of who appends to ${topic}`, 'the newest record', aheadMs);
  }

  async #probe(
    name: string,
    { right, of: operation }: { readonly right: string; readonly of: string },
    probe: (probes: Probes) => Promise<Finding>,
  ): Promise<Finding> {
    const { clients, clock } = this.#deps;
    let probes: Probes | undefined;
    try {
      probes = await Probes.connect(clients.create().kafka, clock);
      return await probe(probes);
    } catch (error) {
      const fault = translateFault(error, { operation, principal: clients.principal });
      return faultFinding(name, fault, `${RIGHTS} (${right})`);
    } finally {
      await probes?.close();
    }
  }
}
