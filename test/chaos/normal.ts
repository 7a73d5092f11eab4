/** Whether all is as if nothing had happened, and if not, what is missing. */
import { usageOverHttp } from '../support/usage-over-http.ts';
import { differences, rangeOf } from './complete-usage.ts';
import type { Installation } from './installation.ts';
import type { LagWatch } from './lag.ts';
import type { Supervised } from './supervised.ts';
import type { Traffic } from './traffic.ts';

export interface NormalDeps {
  readonly installation: Installation;
  readonly traffic: Traffic;
  readonly lag: LagWatch;
}

/**
 * Every role is ready, nothing waits in the topic, and usage is what was sent, as each aggregator's API tells
 * it. Sentences about what is not so; the cheapest question is asked first.
 */
export async function abnormalities({ installation, traffic, lag }: NormalDeps): Promise<readonly string[]> {
  const unready = (await Promise.all(installation.roles.map(unreadiness))).flat();
  const records = await lag.records();
  const waiting = records === 0 ? [] : [`${records ?? 'nobody says how many'} records wait in the topic`];
  if (unready.length + waiting.length > 0) return [...unready, ...waiting];
  const expected = traffic.usage();
  const told = installation.parts.aggregators.map(async (aggregator) => {
    const api = await aggregator.address('API');
    const usage = await usageOverHttp(api, rangeOf(traffic)).catch((error: unknown) => String(error));
    const name = `usage at ${aggregator.name}`;
    return typeof usage === 'string' ? [`${name}: ${usage}`] : differences(name, usage, expected);
  });
  return (await Promise.all(told)).flat();
}

async function unreadiness(role: Supervised): Promise<readonly string[]> {
  const readiness = await role.readiness();
  if (readiness === undefined) return [`${role.name} does not say that it is ready`];
  if (readiness.isReady) return [];
  const unready = readiness.checks.filter(({ ready }) => !ready);
  return unready.map(({ name, detail }) => `${role.name} is not ready: ${name}: ${detail}`);
}
