import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { receiverConfig } from '../../../../collectors/receiver/config.ts';

const TOKEN = 'a-token-of-some-length';

function problemsOf(values: object): string {
  try {
    receiverConfig(values as Parameters<typeof receiverConfig>[0]);
  } catch (error) {
    return (error as Error).message;
  }
  return 'none';
}

describe('the configuration', () => {
  it('needs clusters with their tokens, and nothing else', () => {
    const { port, clusters } = receiverConfig({ clusters: { rt1: { tokens: [TOKEN] } } });
    expect(port).toBe(9_201);
    expect(clusters).toMatchObject([
      { name: 'rt1', limits: { series: 20_000, sampleAgeMs: 45 * 86_400_000 } },
    ]);
    expect(clusters[0]?.tokens[0]?.reveal()).toBe(TOKEN);
  });

  it('gives a cluster its own limits above those for all', () => {
    const own = { tokens: [TOKEN], limits: { labels: 10 } };
    const other = { tokens: [`${TOKEN}2`], limits: { series: undefined } };
    const { clusters } = receiverConfig({ limits: { labels: 20, series: 5 }, clusters: { own, other } });
    expect(clusters.map(({ limits: { labels, series, samples } }) => [labels, series, samples])).toEqual([
      [10, 5, 50_000],
      [20, 5, 50_000],
    ]);
  });

  it.each([
    ['no token', { rt1: { tokens: [] } }, 'clusters.rt1 has no token'],
    [
      'a token file that is not there',
      { rt1: { tokenFiles: ['/nowhere/token'] } },
      '/nowhere/token cannot be read',
    ],
    ['a short token', { rt1: { tokens: ['short'] } }, 'must be 16 characters or more'],
    ['a token that no header can carry', { rt1: { tokens: ['white space in a token'] } }, 'must be 16'],
    [
      'one token for two',
      { rt1: { tokens: [TOKEN] }, rt2: { tokens: [TOKEN] } },
      'clusters.rt2 has a token that rt1 has already',
    ],
    ['one token twice', { rt1: { tokens: [TOKEN, TOKEN] } }, 'clusters.rt1 has a token that rt1 has already'],
    ['a name that is no topic', { 'a/b': { tokens: [TOKEN] } }, 'letters, digits'],
    ['an unknown limit', { rt1: { tokens: [TOKEN], limits: { serie: 1 } } }, 'did you mean "series"'],
    [
      'a future that the aggregator refuses',
      { rt1: { tokens: [TOKEN], limits: { futureMs: 600_001 } } },
      'futureMs',
    ],
  ])('with %s is refused, and says why', (_, clusters, problem) => {
    const problems = problemsOf({ clusters });
    expect(problems.toLowerCase()).toContain(problem.toLowerCase());
    expect(problems).not.toContain(TOKEN);
  });

  it('has room for the largest request that it allows', () => {
    const clusters = { rt1: { tokens: [TOKEN], limits: { bodyBytes: 10, unpackedBytes: 20 } } };
    expect(problemsOf({ clusters, bytesInFlight: 30 })).toBe('none');
    expect(problemsOf({ clusters, bytesInFlight: 29 })).toContain('a request of rt1 may need 30');
  });

  it('takes tokens from files, as secrets are mounted, and from one text, as the environment gives them', () => {
    const directory = mkdtempSync(join(tmpdir(), 'receiver-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const file = join(directory, 'tokens');
    writeFileSync(file, `${TOKEN}-of-a-file\n${TOKEN}-too\n`);
    const { clusters } = receiverConfig({
      clusters: { rt1: { tokens: `${TOKEN} ${TOKEN}2`, tokenFiles: [file] } },
    });
    const revealed = clusters[0]?.tokens.map((token) => token.reveal());
    expect(revealed).toEqual([TOKEN, `${TOKEN}2`, `${TOKEN}-of-a-file`, `${TOKEN}-too`]);
    writeFileSync(file, 'short');
    expect(problemsOf({ clusters: { rt1: { tokenFiles: [file] } } })).toContain(`${file}: 1 problem`);
  });

  it('shows no token', () => {
    const config = receiverConfig({ clusters: { rt1: { tokens: [TOKEN] } } });
    expect(`${inspect(config, { depth: null })}${JSON.stringify(config)}`).not.toContain(TOKEN);
  });
});
