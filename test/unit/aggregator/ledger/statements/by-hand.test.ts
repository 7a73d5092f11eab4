import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Statement } from '../../../../../aggregator/ledger/statement.ts';
import {
  closeHash,
  linesHash,
  statementHash,
} from '../../../../../aggregator/ledger/statements/canonical.ts';
import { renderJson } from '../../../../../aggregator/ledger/statements/json.ts';
import { SHOP } from './statements.ts';

const PAGE = fileURLToPath(new URL('../../../../../docs/statements.md', import.meta.url));
const commands = [...readFileSync(PAGE, 'utf8').matchAll(/^```\n([^]*?)^```$/gm)].map(
  ([, code = '']) => code,
);
const [linesCommand, statementCommand, closeCommand] = commands;
const here = (name: string): boolean => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;
const able = here('jq') && here('sha256sum');

/** What a shell has to be careful with. */
const AWKWARD: Statement = {
  ...SHOP,
  tenant: 'Straße',
  waivers: [
    { cluster: 'ü', reason: 'a\tb\\t\nc\r"d" \u007f $HOME `x` \u{1f600}', approvedBy: "o'ps" },
    { cluster: 'dev-1', reason: '', approvedBy: '' },
  ],
  lines: [
    ...SHOP.lines,
    { ...SHOP.lines[0]!, namespace: '\ufffd', quantity: -(10n ** 37n) },
    { ...SHOP.lines[0]!, namespace: '\u{10000}', quantity: 10n ** 37n, samples: 2n ** 63n - 1n },
  ],
};

test('the page has a command for lines, for a statement and for a close', () => {
  expect(commands.length).toBe(3);
});

describe('the commands of the page', () => {
  if (!able) test.skip('needs jq and sha256sum');
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'statements-'));
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  function printed(command: string, environment: Readonly<Record<string, string>> = {}): string {
    const env = { PATH: '/usr/local/bin:/usr/bin:/bin', ...environment };
    const { stdout, stderr } = spawnSync('sh', ['-c', command], { cwd: folder, encoding: 'utf8', env });
    expect(stderr).toBe('');
    return stdout.replace(/ .*\n$/, '');
  }

  test.runIf(able).each([
    ['a plain statement', SHOP],
    ['awkward texts and great numbers', AWKWARD],
    [
      'nothing at all',
      { ...SHOP, lines: [], corrections: [], coverage: [], waivers: [], previousCloseHash: '' },
    ],
  ])('print the hashes of %s', (_, statement) => {
    writeFileSync(join(folder, 'statement.json'), renderJson(statement));
    expect(printed(linesCommand ?? '')).toBe(linesHash(statement));
    expect(printed(statementCommand ?? '')).toBe(statementHash(statement));
  });

  test.runIf(able)('print the hash of a close, whose tenants come in the order of bytes', () => {
    const tenants = ['acme', 'Zeta', 'straße', '\u{10000}', '\ufffd'];
    const statements = tenants.map((tenant) => ({ ...SHOP, tenant, waivers: [] }));
    for (const [i, statement] of statements.entries()) {
      writeFileSync(join(folder, `statement-${i}.json`), renderJson(statement));
    }
    const { period, ruleVersion, settingsHash, previousCloseHash } = SHOP;
    const hashes = statements.map((statement) => [statement.tenant, statementHash(statement)] as const);
    const close = { period, ruleVersion, settingsHash, previousCloseHash, waivers: [], statements: hashes };
    expect(printed(closeCommand ?? '', { PREVIOUS: previousCloseHash })).toBe(closeHash(close));
  });
});
