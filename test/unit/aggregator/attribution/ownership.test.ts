import { describe, expect, test } from 'vitest';
import { Ownership, type LabelSighting } from '../../../../aggregator/attribution/ownership.ts';

function ownership(...sightings: readonly (readonly [t: number, tenant: string])[]): Ownership {
  const seen: LabelSighting[] = sightings.map(([t, tenant]) => ({ t, tenant }));
  return new Ownership(['kube-system'], new Map([['shop', seen]]));
}

describe('the owner of a namespace', () => {
  const moved = ownership([100, 'acme'], [150, 'acme'], [200, 'globex'], [300, ''], [400, 'globex']);

  test.each([
    [0, 'acme'],
    [100, 'acme'],
    [199, 'acme'],
    [200, 'globex'],
    [299, 'globex'],
    [300, 'unattributed'],
    [399, 'unattributed'],
    [400, 'globex'],
    [1_000_000, 'globex'],
  ])('at %d is %s', (t, owner) => {
    expect(moved.ownerAt('shop', t)).toBe(owner);
  });

  test('changes only where another one comes, strictly after the time asked for', () => {
    expect(moved.nextChange('shop', 0)).toBe(200);
    expect(moved.nextChange('shop', 199)).toBe(200);
    expect(moved.nextChange('shop', 200)).toBe(300);
    expect(moved.nextChange('shop', 300)).toBe(400);
    expect(moved.nextChange('shop', 400)).toBe(Infinity);
  });

  test('is the greater name where two are seen at once, in any order', () => {
    expect(ownership([100, 'acme'], [100, 'globex']).ownerAt('shop', 100)).toBe('globex');
    expect(ownership([100, 'globex'], [100, 'acme']).ownerAt('shop', 100)).toBe('globex');
    expect(ownership([100, ''], [100, 'acme']).ownerAt('shop', 100)).toBe('acme');
    const three = ownership([100, 'b'], [100, 'c'], [100, 'a'], [200, 'a']);
    expect(three.ownerAt('shop', 150)).toBe('c');
    expect(three.nextChange('shop', 100)).toBe(200);
  });

  test('is nobody where it was never seen, or never with a label', () => {
    expect(ownership().ownerAt('shop', 5)).toBe('unattributed');
    expect(ownership().nextChange('shop', 5)).toBe(Infinity);
    expect(ownership().ownerAt('elsewhere', 5)).toBe('unattributed');
    expect(ownership([100, ''], [200, '']).nextChange('shop', 0)).toBe(Infinity);
  });

  test('is the platform where it is declared so, whatever its label says', () => {
    const seen = new Map([['kube-system', [{ t: 100, tenant: 'acme' }]]]);
    const platform = new Ownership(['kube-system', 'kube-public'], seen);
    expect(platform.ownerAt('kube-system', 100)).toBe('platform');
    expect(platform.nextChange('kube-system', 0)).toBe(Infinity);
    expect(platform.ownerAt('kube-public', 0)).toBe('platform');
  });
});
