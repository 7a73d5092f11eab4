import { describe, expect, it } from 'vitest';
import { receiverConfig } from '../../../../collectors/receiver/config.ts';
import { Tokens } from '../../../../collectors/receiver/tokens.ts';

const { clusters } = receiverConfig({
  clusters: {
    rt1: { tokens: ['first-token-of-rt1', 'second-token-of-rt1'] },
    rt2: { tokens: ['token/of+rt2~=='.padStart(20, 'x')] },
  },
});
const tokens = new Tokens(clusters);

describe('a token', () => {
  it.each([
    ['Bearer first-token-of-rt1', 'rt1'],
    ['bearer  second-token-of-rt1 ', 'rt1'],
    [`Bearer ${'token/of+rt2~=='.padStart(20, 'x')}`, 'rt2'],
    ['Bearer first-token-of-rt', undefined],
    ['Bearer first-token-of-rt1x', undefined],
    ['first-token-of-rt1', undefined],
    ['Bearer ', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('in "%s" is of %s', (header, cluster) => {
    expect(tokens.clusterOf(header)?.name).toBe(cluster);
  });

  it('is nobody’s where no cluster is known', () => {
    expect(new Tokens([]).clusterOf('Bearer first-token-of-rt1')).toBeUndefined();
  });
});
