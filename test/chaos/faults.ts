/**
 * Faults that come alone. Each is over when its promise resolves: it ended by itself, or whoever starts
 * processes again has done so. One that did not take hold rejects: it would have shown nothing.
 */
import { SystemClock } from '../../core/runtime/clock.ts';
import { usageTopic } from '../../core/eventlog/usage-topic.ts';
import { writesLedger } from '../support/readiness.ts';
import type { TcpLink } from '../support/tcp-link.ts';
import { until } from '../support/waiting.ts';
import type { Installation } from './installation.ts';
import type { LagWatch } from './lag.ts';
import type { Supervised } from './supervised.ts';
import { isStopped } from './watch.ts';

export interface Scene {
  readonly installation: Installation;
  readonly lag: LagWatch;
}

export interface Fault {
  readonly name: string;
  readonly happen: (scene: Scene) => Promise<void>;
}

/** Longer than the session of a member of the group and than the lease of the ledger's writer. */
const FROZEN_MS = 12_000;
const SERVER_FROZEN_MS = 20_000;
/** Longer than a session still. */
const BRIEFLY_FROZEN_MS = 8_000;
/** Longer than any request waits for the broker. */
const LONG_FROZEN_MS = 40_000;
const AWAY_MS = 20_000;
const POISON = Buffer.from([0xff, 0x01]);
const clock = new SystemClock();

type Server = 'broker' | 'store';
/** Which role of two alike: the one that writes the ledger, or the other. */
type Which = 'collector' | 'writer' | 'other aggregator';

export const FAULTS: readonly Fault[] = [
  away('broker', 0),
  away('store', 0),
  ...(['collector', 'writer', 'other aggregator'] as const).map(killed),
  away('broker', AWAY_MS),
  away('store', AWAY_MS),
  serverFrozen('broker', SERVER_FROZEN_MS),
  serverFrozen('broker', LONG_FROZEN_MS),
  serverFrozen('store', SERVER_FROZEN_MS),
  ...(['collector', 'writer', 'other aggregator'] as const).map(frozen),
  ...ways('collector', 'broker'),
  ...ways('other aggregator', 'broker'),
  ...ways('writer', 'store'),
  poisoned(),
];

/** Those that kill nothing, as many as there is time for in every run of the tests. */
export const QUIET_FAULTS: readonly Fault[] = [
  serverFrozen('broker', BRIEFLY_FROZEN_MS),
  serverFrozen('store', BRIEFLY_FROZEN_MS),
  frozen('writer'),
];

function away(server: Server, forMs: number): Fault {
  const name = forMs === 0 ? `${server} killed` : `${server} away`;
  const happen = async ({ installation }: Scene): Promise<void> => {
    const part = installation.parts[server];
    await part.kill();
    await clock.sleep(forMs);
    await part.restart();
  };
  return { name, happen };
}

function killed(which: Which): Fault {
  return {
    name: `${which} killed`,
    happen: async ({ installation }) => (await find(which, installation)).kill(),
  };
}

function serverFrozen(server: Server, forMs: number): Fault {
  const name = `${server} frozen${forMs === LONG_FROZEN_MS ? ' for longer' : ''}`;
  const happen = async ({ installation }: Scene): Promise<void> => {
    const part = installation.parts[server];
    part.freeze();
    await clock.sleep(forMs);
    check(isStopped(part.pid), `${name}: it did not stand still`);
    part.thaw();
  };
  return { name, happen };
}

/** Woken, an aggregator is a zombie: the others have its partitions, and its lease where it had one. */
function frozen(which: Which): Fault {
  const happen = async ({ installation, lag }: Scene): Promise<void> => {
    const role = await find(which, installation);
    const { aggregators } = installation.parts;
    const others = aggregators.filter((aggregator) => aggregator !== role);
    role.freeze();
    const endMs = clock.now() + FROZEN_MS;
    const patience = { forMs: FROZEN_MS };
    try {
      if (which === 'writer') await writerOf(others, patience);
      if (which !== 'collector') {
        const isAlone = async () => (await lag.members()) === others.length || undefined;
        await until('the group without its frozen member', isAlone, patience);
      }
      await clock.sleep(endMs - clock.now());
      check(isStopped(role.pid), `${which}: it did not stand still`);
    } finally {
      role.thaw();
    }
  };
  return { name: `${which} frozen`, happen };
}

/** What a network does to one role's way to a server. */
function ways(which: Which, to: Server): readonly Fault[] {
  const between = async (installation: Installation): Promise<TcpLink> => {
    const { links } = installation.parts;
    const { name } = await find(which, installation);
    const link = to === 'broker' ? links?.toBroker(name) : links?.toStore(name);
    check(link !== undefined && link.connections > 0, `nothing goes from the ${which} to the ${to}`);
    return link;
  };
  const fault = (what: string, steps: { begin: (l: TcpLink) => unknown; end: (l: TcpLink) => unknown }) => ({
    name: `${which} to ${to} ${what}`,
    happen: async ({ installation }: Scene) => {
      const link = await between(installation);
      await steps.begin(link);
      await clock.sleep(AWAY_MS);
      await steps.end(link);
    },
  });
  return [
    fault('cut', { begin: (link) => link.cut(), end: (link) => link.mend() }),
    fault('held up', { begin: (link) => link.hold(), end: (link) => link.mend() }),
    fault('forgotten', { begin: (link) => link.hold(), end: (link) => link.mendForNew() }),
  ];
}

/** A record that nobody can read in each partition, among those that are good. */
function poisoned(): Fault {
  const happen = async ({ installation }: Scene): Promise<void> => {
    const { log, cluster } = installation.parts;
    const partitions = [...(await installation.ends()).keys()];
    const record = { topic: usageTopic(cluster), timestampMs: clock.now(), key: null, value: POISON };
    await log.append(partitions.map((partition) => ({ ...record, partition })));
    const store = await installation.openStore();
    try {
      const isQuarantined = async (): Promise<true | undefined> => {
        const [row] = await store.rows<{ n: string }>(
          `SELECT toString(uniqExact((partition, offset))) AS n FROM quarantine WHERE reason = 'undecodable'`,
        );
        return Number(row?.n) >= partitions.length || undefined;
      };
      await until('every poisonous record in quarantine', isQuarantined);
    } finally {
      await store.close();
    }
  };
  return { name: 'poisonous records', happen };
}

async function find(which: Which, { parts }: Installation): Promise<Supervised> {
  if (which === 'collector') return parts.collector;
  const writer = await writerOf(parts.aggregators);
  if (which === 'writer') return writer;
  const other = parts.aggregators.find((aggregator) => aggregator !== writer);
  check(other !== undefined, 'there is one aggregator only');
  return other;
}

async function writerOf(
  aggregators: readonly Supervised[],
  patience: { readonly forMs?: number } = {},
): Promise<Supervised> {
  const look = async (): Promise<Supervised | undefined> => {
    for (const aggregator of aggregators) if (writesLedger(await aggregator.readiness())) return aggregator;
    return undefined;
  };
  return await until('an aggregator that writes the ledger', look, patience);
}

function check(isSo: boolean, otherwise: string): asserts isSo {
  if (!isSo) throw new Error(otherwise);
}
