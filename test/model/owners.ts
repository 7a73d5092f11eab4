/**
 * METERING.md 11, choice 24: who owns a namespace when.
 */
import type { Sighting } from './facts.ts';
import { ascending, grouped, key } from './grouping.ts';
import type { Given } from './given.ts';
import { note, type Notes } from './notes.ts';

export interface Ownership {
  /** The owner from the first sighting on, and before it. */
  readonly first: string;
  readonly firstSeen: bigint | undefined;
  /** Changes to another owner, ascending. */
  readonly changes: readonly { readonly t: bigint; readonly owner: string }[];
}

export function ownership(cluster: string, namespace: string, given: Given): Ownership {
  const { facts, settings, notes } = given;
  if (settings.platformNamespaces.includes(namespace)) {
    note(notes, 'platform');
    return { first: 'platform', firstSeen: undefined, changes: [] };
  }
  const seen = onePerTime(facts.sightings.get(key(cluster, namespace)) ?? [], notes);
  const owners = seen.map(({ t, tenant }) => ({ t, owner: tenant === '' ? 'unattributed' : tenant }));
  const changes = owners.filter(({ owner }, index) => index > 0 && owner !== owners[index - 1]?.owner);
  note(
    notes,
    'sighting_without_label',
    seen.some(({ tenant }) => tenant === ''),
  );
  note(notes, 'unattributed', owners.length === 0);
  return { first: owners[0]?.owner ?? 'unattributed', firstSeen: owners[0]?.t, changes };
}

/** Section 11: at equal t the greater tenant name wins; a sighting without the label loses to any. */
function onePerTime(sightings: readonly Sighting[], notes: Notes): Sighting[] {
  return [...grouped(sightings, ({ t }) => t)]
    .map(([t, same]) => {
      const tenants = same.map(({ tenant }) => tenant);
      note(notes, 'label_conflict', new Set(tenants).size > 1);
      return { t, tenant: tenants.reduce((a, b) => (a > b ? a : b)) };
    })
    .sort((a, b) => ascending(a.t, b.t));
}

/**
 * The owner of what lies on (t, ...]: a sighting at t holds from t on; before the first, the first applies.
 */
export function ownerFrom(t: bigint, { first, changes }: Ownership): string {
  return changes.findLast((change) => change.t <= t)?.owner ?? first;
}
