import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Statement } from '../../../../../aggregator/ledger/statement.ts';
import {
  closeHash,
  hoursHasher,
  linesHash,
  settingsHash,
  statementHash,
  type HashedHour,
} from '../../../../../aggregator/ledger/statements/canonical.ts';
import { compareText } from '../../../../../aggregator/ledger/statements/order.ts';
import type { MeteringSettings } from '../../../../../core/metering/settings.ts';
import { anyStatement, HOUR, OCTOBER, reversed, sha, SHOP } from './statements.ts';

const sha256 = (...lines: string[]): string =>
  createHash('sha256')
    .update(lines.map((line) => `${line.replaceAll(' ', '\t')}\n`).join(''))
    .digest('hex');

describe('the texts that are hashed', () => {
  test('the worked example of the file head comes out', () => {
    const hours = hoursHasher();
    const hour = OCTOBER + 10 * HOUR;
    hours.add({ hour, quarters: [60_000_000_000n, 0n, 0n, 0n], missingMs: 0n, samples: 120n, flags: 0 });
    const hoursHash = hours.digest();
    const [line] = SHOP.lines;
    expect(hoursHash).toBe('c3bf4fa499a96e150bc6488ea0a4b306c6f267d19016ca804eeaca15df81c37c');
    expect(linesHash({ ...SHOP, lines: [{ ...line!, hoursHash }], corrections: [] })).toBe(
      '150a2733dddb80af63543c69c0c6f7e070676468f0e1cb78e4254b384e41e1f1',
    );
  });

  test('lines and corrections are written as the file head says', () => {
    expect(linesHash(SHOP)).toBe(
      sha256(
        'lines 1',
        `line cpu prod-1 shop 60000000000 1 0 120 0 ${sha('c')}`,
        `line memory prod-1 shop 46014561622425600000 744 30000 89280 33 ${sha('d')}`,
        `correction 2026-09-30T23:00:00Z egress prod-1 shop 1073741825 1 ${'e'.repeat(32)}`,
      ),
    );
  });

  test('a statement is its lines and what stands around them', () => {
    const quiet = { ...SHOP, waivers: [{ cluster: 'dev-1', reason: 'rebuilt', approvedBy: 'ops' }] };
    expect(statementHash(quiet)).toBe(
      sha256(
        `statement 1 2026-10 acme 1 ${sha('a')} ${sha('b')} ${linesHash(SHOP)}`,
        'waiver dev-1 rebuilt ops',
        'coverage cpu prod-1 2678400000 2678400000',
        'coverage memory prod-1 2678399000 2678400000',
      ),
    );
  });

  test('a statement of nothing has a hash too, and not that of an empty text', () => {
    const empty = { ...SHOP, lines: [], corrections: [], coverage: [], waivers: [] };
    expect(linesHash(empty)).toBe(sha256('lines 1'));
  });
});

describe('a hash', () => {
  test('does not depend on the order in which rows were read', () => {
    fc.assert(
      fc.property(anyStatement, (statement) => {
        expect(linesHash(reversed(statement))).toBe(linesHash(statement));
        expect(statementHash(reversed(statement))).toBe(statementHash(statement));
      }),
      { numRuns: 50 },
    );
  });

  const [line, ...otherLines] = SHOP.lines;
  const [correction] = SHOP.corrections;
  const [covered, ...otherCoverage] = SHOP.coverage;
  const [waiver] = SHOP.waivers;
  const withLine = (change: object): Partial<Statement> => ({
    lines: [{ ...line!, ...change }, ...otherLines],
  });
  const withCorrection = (change: object): Partial<Statement> => ({
    corrections: [{ ...correction!, ...change }],
  });
  const withCoverage = (change: object): Partial<Statement> => ({
    coverage: [{ ...covered!, ...change }, ...otherCoverage],
  });
  const withWaiver = (change: object): Partial<Statement> => ({ waivers: [{ ...waiver!, ...change }] });

  const billed: [string, Partial<Statement>][] = [
    ['a quantity', withLine({ quantity: 60_000_000_001n })],
    ['a cluster', withLine({ cluster: 'prod-2' })],
    ['a namespace', withLine({ namespace: 'shop-2' })],
    ['a meter', withLine({ meter: 'egress' })],
    ['hours', withLine({ hours: 2 })],
    ['missing time', withLine({ missingMs: 1n })],
    ['a sample count', withLine({ samples: 121n })],
    ['a flag', withLine({ flags: 1 })],
    ['the hours of a line', withLine({ hoursHash: sha('0') })],
    ['a line more', { lines: [...SHOP.lines, { ...line!, namespace: 'shop-2' }] }],
    ['a line less', { lines: otherLines }],
    ['the corrected hour', withCorrection({ hour: OCTOBER - 2 * HOUR })],
    ['the corrected cluster', withCorrection({ cluster: 'prod-2' })],
    ['the corrected namespace', withCorrection({ namespace: 'shop-2' })],
    ['the corrected meter', withCorrection({ meter: 'cpu' })],
    ['both sides of a correction alike', withCorrection({ before: 1_073_741_826n, after: 2n })],
    ['the id of a correction', withCorrection({ id: 'f'.repeat(32) })],
    ['a correction less', { corrections: [] }],
  ];
  const around: [string, Partial<Statement>][] = [
    ['the period', { period: '2026-11' }],
    ['the tenant', { tenant: 'acme-2' }],
    ['the rule version', { ruleVersion: 2 }],
    ['the settings', { settingsHash: sha('0') }],
    ['the close before', { previousCloseHash: '' }],
    ['covered time', withCoverage({ coveredMs: 1n })],
    ['expected time', withCoverage({ expectedMs: 1n })],
    ['the cluster of coverage', withCoverage({ cluster: 'prod-2' })],
    ['the meter of coverage', withCoverage({ meter: 'egress' })],
    ['the cluster of a waiver', withWaiver({ cluster: 'dev-2' })],
    ['the reason of a waiver', withWaiver({ reason: 'other' })],
    ['who approved a waiver', withWaiver({ approvedBy: 'other' })],
    ['a waiver less', { waivers: [] }],
  ];

  test.each(billed)('changes with %s', (_, change) => {
    expect(linesHash({ ...SHOP, ...change })).not.toBe(linesHash(SHOP));
    expect(statementHash({ ...SHOP, ...change })).not.toBe(statementHash(SHOP));
  });

  test.each(around)('of the statement changes with %s, that of the lines does not', (_, change) => {
    expect(linesHash({ ...SHOP, ...change })).toBe(linesHash(SHOP));
    expect(statementHash({ ...SHOP, ...change })).not.toBe(statementHash(SHOP));
  });

  test('cannot be confused by separators within a text', () => {
    const reasons = ['a\tb', 'a\\tb', 'a\nb', 'a\\nb', 'a\rb', 'a\\\tb', 'a', 'a\tops\nwaiver\tx\ty'];
    const hashes = reasons.map((reason) => statementHash({ ...SHOP, ...withWaiver({ reason }) }));
    expect(new Set(hashes).size).toBe(reasons.length);
    const shifted = { reason: 'a\tops', approvedBy: '' };
    expect(statementHash({ ...SHOP, ...withWaiver(shifted) })).not.toBe(
      statementHash({ ...SHOP, ...withWaiver({ reason: 'a', approvedBy: 'ops' }) }),
    );
  });

  test.each([
    ['a NUL', 'a\0b'],
    ['half a surrogate pair', 'a\ud800b'],
  ])('is refused over %s, which has no text of its own', (_, reason) => {
    expect(() => statementHash({ ...SHOP, ...withWaiver({ reason }) })).toThrow(/invariant broken/);
  });

  test.each([
    ['line', { lines: [line!, { ...line!, quantity: 1n }] }],
    ['correction', { corrections: [correction!, { ...correction!, after: 2n }] }],
    ['coverage', { coverage: [covered!, { ...covered!, coveredMs: 0n }] }],
  ])('is refused where one key has two %s rows', (what, change) => {
    expect(() => statementHash({ ...SHOP, ...change })).toThrow(`one ${what} of`);
  });

  test('is refused over a number that is no integer', () => {
    expect(() => linesHash({ ...SHOP, ...withLine({ hours: 0.5 }) })).toThrow('is an integer');
  });

  test('is refused over an instant within a second', () => {
    expect(() => linesHash({ ...SHOP, ...withCorrection({ hour: 1 }) })).toThrow('whole second');
  });
});

describe('the chain of closes', () => {
  const first = {
    ...{ period: '2026-09', ruleVersion: 1, settingsHash: sha('a'), previousCloseHash: '', waivers: [] },
    statements: [
      ['acme', sha('1')],
      ['Bcme', sha('2')],
    ] as const,
  };

  test('a close names its statements by tenant, in the order of bytes', () => {
    expect(closeHash(first)).toBe(
      sha256(`close 1 2026-09 1 ${sha('a')} `, `statement Bcme ${sha('2')}`, `statement acme ${sha('1')}`),
    );
    expect(closeHash({ ...first, statements: first.statements.toReversed() })).toBe(closeHash(first));
  });

  test('a changed statement changes its close and the one after it', () => {
    const forged = { ...first, statements: [['acme', sha('3')], first.statements[1]] as const };
    const second = { ...first, period: '2026-10', previousCloseHash: closeHash(first) };
    expect(closeHash(forged)).not.toBe(closeHash(first));
    expect(closeHash({ ...second, previousCloseHash: closeHash(forged) })).not.toBe(closeHash(second));
  });

  test.each([
    ['the period', { period: '2026-08' }],
    ['the rule version', { ruleVersion: 2 }],
    ['the settings', { settingsHash: sha('b') }],
    ['a waiver', { waivers: SHOP.waivers }],
    ['a tenant', { statements: first.statements.slice(1) }],
  ])('changes with %s', (_, change) => {
    expect(closeHash({ ...first, ...change })).not.toBe(closeHash(first));
  });

  test('a tenant with two statements is refused', () => {
    const statements = [first.statements[0], first.statements[0]];
    expect(() => closeHash({ ...first, statements })).toThrow('one statement of ["acme"]');
  });
});

describe('the hours of a line', () => {
  const hourAt = (n: number, change: Partial<HashedHour> = {}): HashedHour => ({
    hour: OCTOBER + n * HOUR,
    ...{ quarters: [1n, 2n, 3n, 4n], missingMs: 5n, samples: 6n, flags: 7, ...change },
  });
  const hashOf = (...hours: HashedHour[]): string => {
    const hasher = hoursHasher();
    for (const hour of hours) hasher.add(hour);
    return hasher.digest();
  };

  test('a month is hashed as its text, however long', () => {
    const hours = Array.from({ length: 744 }, (_, n) => hourAt(n));
    const text = hours.map(({ hour }) => `hour ${hour} 1 2 3 4 5 6 7`);
    expect(hashOf(...hours)).toBe(sha256('hours 1', ...text));
  });

  test.each([
    ['the hour', hourAt(1)],
    ['a quarter', hourAt(0, { quarters: [1n, 2n, 4n, 3n] })],
    ['missing time', hourAt(0, { missingMs: 0n })],
    ['samples', hourAt(0, { samples: 7n })],
    ['flags', hourAt(0, { flags: 0 })],
  ])('change their hash with %s', (_, hour) => {
    expect(hashOf(hour)).not.toBe(hashOf(hourAt(0)));
  });

  test('out of order, twice or off the hour are refused', () => {
    expect(() => hashOf(hourAt(1), hourAt(0))).toThrow('follows');
    expect(() => hashOf(hourAt(0), hourAt(0))).toThrow('follows');
    expect(() => hashOf(hourAt(0.5))).toThrow('follows');
  });

  test('an hour of nothing is refused, one that says anything is not', () => {
    const nothing = { quarters: [0n, 0n, 0n, 0n], missingMs: 0n, samples: 0n, flags: 0 } as const;
    expect(() => hashOf(hourAt(0, nothing))).toThrow('says something');
    const something: Partial<HashedHour>[] = [
      { quarters: [0n, 0n, 0n, 1n] },
      { missingMs: 1n },
      { samples: 1n },
      { flags: 1 },
    ];
    const hashes = something.map((change) => hashOf(hourAt(0, { ...nothing, ...change })));
    expect(new Set(hashes).size).toBe(4);
  });
});

describe('settings', () => {
  const settings: MeteringSettings = {
    tenantLabel: 'gh0stcloud.io/tenant',
    platformNamespaces: ['kube-system', 'flux-system'],
    ...{ maxHoldMs: 300_000, latenessMs: 172_800_000, maxCores: 256, maxLinkBytesPerSecond: 12.5e9 },
    ...{ networkInterface: 'eth0', rawRetentionMs: 3_888_000_000, hoursRetentionMs: 34_560_000_000 },
  };

  test('are hashed as JSON with sorted keys and no spaces', () => {
    const text =
      '{"hoursRetentionMs":34560000000,"latenessMs":172800000,"maxCores":256,"maxHoldMs":300000,"maxLinkBytesPerSecond":12500000000,' +
      '"networkInterface":"eth0","platformNamespaces":["flux-system","kube-system"],' +
      '"rawRetentionMs":3888000000,"tenantLabel":"gh0stcloud.io/tenant"}';
    expect(settingsHash(settings)).toBe(createHash('sha256').update(text).digest('hex'));
  });

  test('keep their hash when a file lists the same otherwise', () => {
    const { tenantLabel, ...others } = settings;
    const listed = ['flux-system', 'kube-system', 'flux-system'];
    expect(settingsHash({ ...others, platformNamespaces: listed, tenantLabel })).toBe(settingsHash(settings));
  });

  test.each([
    ['tenantLabel', 'tenant'],
    ['platformNamespaces', ['kube-system']],
    ['maxHoldMs', 1],
    ['latenessMs', 1],
    ['maxCores', 1],
    ['maxLinkBytesPerSecond', 1],
    ['networkInterface', 'net1'],
    ['rawRetentionMs', 1],
    ['hoursRetentionMs', 1],
  ])('change their hash with %s', (key, value) => {
    expect(settingsHash({ ...settings, [key]: value })).not.toBe(settingsHash(settings));
  });

  test('that JSON cannot hold are refused', () => {
    expect(() => settingsHash({ ...settings, maxCores: NaN })).toThrow('can be hashed');
    expect(() => settingsHash({ ...settings, maxCores: undefined as unknown as number })).toThrow(
      'can be hashed',
    );
  });
});

test('text is ordered as its UTF-8 bytes are', () => {
  const text = fc.string({ unit: 'binary', maxLength: 6 });
  const near = fc.constantFrom(
    '',
    'a',
    'A',
    'ab',
    '\ud7ff',
    '\ue000',
    '\uffff',
    '\u{10000}',
    '\u{10ffff}',
    'é',
  );
  fc.assert(
    fc.property(fc.oneof(text, near), fc.oneof(text, near), (a, b) => {
      expect(Math.sign(compareText(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
    { numRuns: 500 },
  );
});
