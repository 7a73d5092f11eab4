import { describe, expect, test } from 'vitest';
import { newSimulator, START_MS } from './simulated-clock.ts';

const MINUTE = 60_000;
const GIB = 2n ** 30n;

type Rows = ReturnType<ReturnType<typeof newSimulator>['simulator']['truth']>;

function sums(rows: Rows): Record<string, bigint> {
  const result: Record<string, bigint> = {};
  for (const { hourMs, tenant, namespace, meter, quantity } of rows) {
    const key = `${hourMs}/${tenant}/${namespace}/${meter}`;
    result[key] = (result[key] ?? 0n) + quantity;
  }
  return result;
}

describe('truth', () => {
  test('adds up over any split of time, to the last unit', () => {
    const { simulator } = newSimulator();
    const toMs = START_MS + 20 * MINUTE;
    const cuts = [START_MS, START_MS + 1, START_MS + 77_777, START_MS + 400_000, START_MS + 851_003, toMs];
    const parts = cuts.slice(1).flatMap((end, index) => simulator.truth(cuts[index]!, end));
    expect(sums(parts)).toEqual(sums(simulator.truth(START_MS, toMs)));
  });

  test('does not depend on what was scraped', () => {
    const { clock, simulator } = newSimulator();
    const unseen = simulator.truth(START_MS, START_MS + 5 * MINUTE);
    clock.set(START_MS + 30 * MINUTE);
    for (const path of simulator.paths()) simulator.page(path);
    expect(simulator.truth(START_MS, START_MS + 5 * MINUTE)).toEqual(unseen);
  });

  test('before the first moment there is none', () => {
    const { simulator } = newSimulator();
    expect(simulator.truth(START_MS - 60 * MINUTE, START_MS)).toEqual([]);
    expect(simulator.truth(START_MS - MINUTE, START_MS + MINUTE)).toEqual(
      simulator.truth(START_MS, START_MS + MINUTE),
    );
  });

  test('a claim that grows at minute 5 is its size before and after, in byte-ms', () => {
    const { simulator } = newSimulator();
    const storage = (fromMs: number, toMs: number): bigint =>
      simulator
        .truth(START_MS + fromMs, START_MS + toMs)
        .filter(({ meter }) => meter === 'storage')
        .reduce((sum, { quantity }) => sum + quantity, 0n);
    const perTenant = (20n + 20n + 5n + 50n + 10n) * GIB;
    const before = 3n * perTenant + 8n * GIB;
    expect(storage(0, 5 * MINUTE)).toBe(before * 300_000n);
    expect(storage(5 * MINUTE, 6 * MINUTE)).toBe((before + 10n * GIB) * 60_000n);
  });

  test('a moved namespace belongs to one tenant before the move and to the other after it', () => {
    const { simulator } = newSimulator();
    const owners = (fromMs: number, toMs: number): Set<string> =>
      new Set(
        simulator
          .truth(START_MS + fromMs, START_MS + toMs)
          .filter(({ namespace }) => namespace === 'shared-lab')
          .map(({ tenant }) => tenant),
      );
    expect(owners(0, 4 * MINUTE)).toEqual(new Set(['acme']));
    expect(owners(4 * MINUTE, 6 * MINUTE)).toEqual(new Set(['globex']));
  });

  test('platform and unowned namespaces have their own tenants, and no host-network byte is anyone’s', () => {
    const { simulator } = newSimulator();
    const rows = simulator.truth(START_MS, START_MS + MINUTE);
    const tenantOf = (name: string): Set<string> =>
      new Set(rows.filter(({ namespace }) => namespace === name).map(({ tenant }) => tenant));
    expect(tenantOf('kube-system')).toEqual(new Set(['platform']));
    expect(tenantOf('sandbox')).toEqual(new Set(['unattributed']));
    // Two coredns pods of at most 900 bytes per ms each, against 900 and more of three uplinks.
    const platform = rows.find(({ namespace, meter }) => namespace === 'kube-system' && meter === 'egress');
    expect(platform).toBeUndefined();
  });

  test('every meter is used by every tenant', () => {
    const { simulator } = newSimulator();
    const rows = simulator.truth(START_MS, START_MS + 10 * MINUTE);
    for (const name of ['acme', 'globex', 'initech']) {
      const used = rows.filter(({ tenant, quantity }) => tenant === name && quantity > 0n);
      expect(new Set(used.map(({ meter }) => meter)).size).toBe(11);
    }
  });
});
