import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { statementHash, linesHash } from '../../../../../aggregator/ledger/statements/canonical.ts';
import { flagNames, parseStatement, renderJson } from '../../../../../aggregator/ledger/statements/json.ts';
import { inOrder } from '../../../../../aggregator/ledger/statements/order.ts';
import { MeteringError } from '../../../../../core/runtime/errors.ts';
import { anyStatement, reversed, sha, SHOP } from './statements.ts';

describe('the stored body', () => {
  test('of a month says what it holds', () => {
    expect(JSON.parse(renderJson(SHOP))).toEqual({
      ...{ form: 1, period: '2026-10', from: '2026-10-01T00:00:00Z', to: '2026-11-01T00:00:00Z' },
      ...{ tenant: 'acme', ruleVersion: 1, settingsHash: sha('a'), previousCloseHash: sha('b') },
      ...{ linesHash: linesHash(SHOP), hash: statementHash(SHOP), waivers: SHOP.waivers },
      coverage: [
        {
          ...{ meter: 'cpu', cluster: 'prod-1' },
          ...{ coveredMs: '2678400000', expectedMs: '2678400000', complete: true },
        },
        {
          ...{ meter: 'memory', cluster: 'prod-1' },
          ...{ coveredMs: '2678399000', expectedMs: '2678400000', complete: false },
        },
      ],
      lines: [
        {
          ...{ meter: 'cpu', cluster: 'prod-1', namespace: 'shop', quantity: '60000000000', unit: 'core-ns' },
          ...{ presentedQuantity: '0.016666667', presentedUnit: 'core-hour', hours: 1, missingMs: '0' },
          ...{ samples: '120', flags: 0, flagNames: [], hoursHash: sha('c') },
        },
        {
          ...{ meter: 'memory', cluster: 'prod-1', namespace: 'shop', quantity: '46014561622425600000' },
          ...{ unit: 'byte-ms', presentedQuantity: '11904', presentedUnit: 'GiB-hour', hours: 744 },
          ...{ missingMs: '30000', samples: '89280', flags: 33, flagNames: ['reset', 'missing'] },
          hoursHash: sha('d'),
        },
      ],
      corrections: [
        {
          ...{ id: 'e'.repeat(32), hour: '2026-09-30T23:00:00Z', meter: 'egress', cluster: 'prod-1' },
          ...{ namespace: 'shop', before: '1073741825', after: '1', quantity: '-1073741824', unit: 'byte' },
          ...{ presentedQuantity: '-1', presentedUnit: 'GiB' },
        },
      ],
    });
  });

  test('keeps its keys in one order and ends with a line feed', () => {
    const text = renderJson(SHOP);
    expect(text).toMatch(/^\{"form":1,"period":"2026-10","from":"2026-10-01T00:00:00Z","to":.*\}\n$/);
    expect(text.match(/"(form|tenant|hash|waivers|coverage|lines|corrections)":/g)).toEqual(
      ['form', 'tenant', 'hash', 'waivers', 'coverage', 'lines', 'corrections'].map((key) => `"${key}":`),
    );
  });

  test('is read back as the statement it was made of', () => {
    fc.assert(
      fc.property(anyStatement, (statement) => {
        expect(parseStatement(renderJson(statement))).toEqual(inOrder(statement));
      }),
    );
  });

  test('has the same bytes whatever order the rows were read in, and after reading', () => {
    fc.assert(
      fc.property(anyStatement, (statement) => {
        const text = renderJson(statement);
        expect(renderJson(reversed(statement))).toBe(text);
        expect(renderJson(parseStatement(text))).toBe(text);
      }),
    );
  });

  test('of a statement without any row is one too', () => {
    const empty = { ...SHOP, waivers: [], coverage: [], lines: [], corrections: [] };
    expect(parseStatement(renderJson(empty))).toEqual(empty);
  });

  test('is not made of a period that is none', () => {
    expect(() => renderJson({ ...SHOP, period: '2026-13' })).toThrow('2026-13 is a period');
  });
});

describe('a body that is not what was written', () => {
  interface Body extends Record<string, unknown> {
    lines: Record<string, unknown>[];
    corrections: Record<string, unknown>[];
    coverage: Record<string, unknown>[];
    waivers: Record<string, unknown>[];
  }
  const changed = (change: (body: Body) => void): string => {
    const body = JSON.parse(renderJson(SHOP)) as Body;
    change(body);
    return JSON.stringify(body);
  };
  const refusal = (text: string): string => {
    try {
      parseStatement(text);
    } catch (error) {
      expect(error).toBeInstanceOf(MeteringError);
      expect((error as MeteringError).code).toBe('METER_INPUT_UNREADABLE');
      return (error as MeteringError).message;
    }
    return 'none';
  };

  test.each<[string, (body: Body) => void, string]>([
    ['a quantity', (body) => (body.lines[0]!['quantity'] = '1'), 'lines and corrections'],
    ['a namespace', (body) => (body.lines[0]!['namespace'] = 'x'), 'lines and corrections'],
    ['a line that is gone', (body) => body.lines.pop(), 'lines and corrections'],
    ['a correction', (body) => (body.corrections[0]!['after'] = '2'), 'lines and corrections'],
    ['coverage', (body) => (body.coverage[1]!['coveredMs'] = '2678400000'), 'around its lines'],
    ['a waiver', (body) => (body.waivers[0]!['reason'] = 'none'), 'around its lines'],
    ['the tenant', (body) => (body['tenant'] = 'else'), 'around its lines'],
    ['the hash', (body) => (body['hash'] = sha('0')), 'around its lines'],
  ])('is refused by its hash: %s', (_, change, why) => {
    expect(refusal(changed(change))).toContain(why);
  });

  test.each<[string, (body: Body) => void, string]>([
    ['another form', (body) => (body['form'] = 2), '→ at form'],
    ['a number for a quantity', (body) => (body.lines[0]!['quantity'] = 60), '→ at lines[0].quantity'],
    ['leading zeros', (body) => (body.lines[0]!['quantity'] = '060'), '→ at lines[0].quantity'],
    ['a negative count', (body) => (body.lines[0]!['samples'] = '-1'), '→ at lines[0].samples'],
    ['an unknown meter', (body) => (body.lines[0]!['meter'] = 'gpu'), 'no meter of the catalogue'],
    [
      'an hour that is none',
      (body) => (body.corrections[0]!['hour'] = '2026-09-30T23:30:00Z'),
      'no start of an',
    ],
    ['a month that is none', (body) => (body['period'] = '2026-13'), 'no period'],
    ['half a character', (body) => (body['tenant'] = '\ud800'), 'no text in UTF-8'],
    ['a key twice', (body) => body.lines.push(body.lines[0]!), 'two rows of one key'],
    ['a missing list', (body) => Object.assign(body, { waivers: undefined }), '→ at waivers'],
  ])('is refused by its shape: %s', (_, change, where) => {
    expect(refusal(changed(change))).toContain(where);
  });

  test('is refused when it is no JSON', () => {
    expect(refusal('{')).toContain('no JSON');
    expect(refusal(renderJson(SHOP).slice(0, 200))).toContain('no JSON');
  });
});

test('flags are named in the order of their bits', () => {
  expect(flagNames(63)).toEqual(['reset', 'gap', 'quarantined', 'unknownOrigin', 'nonMonotonic', 'missing']);
  expect(flagNames(0)).toEqual([]);
});
