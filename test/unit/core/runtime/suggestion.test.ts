import { describe, expect, test } from 'vitest';

import { suggestion } from '../../../../core/runtime/suggestion.ts';

describe('a suggestion', () => {
  test.each([
    ['prot', 'port'],
    ['PORT', 'port'],
    ['brokrs', 'brokers'],
    ['maxHold', 'maxHoldMs'],
  ])('for %s is %s', (written, name) => {
    expect(suggestion(written, ['port', 'brokers', 'maxHoldMs'])).toBe(` (did you mean "${name}"?)`);
  });

  test('is not made when nothing is close', () => {
    expect(suggestion('database', ['port', 'brokers'])).toBe('');
    expect(suggestion('x', [])).toBe('');
  });
});
