import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Statement } from '../../../../../aggregator/ledger/statement.ts';
import { statementHash } from '../../../../../aggregator/ledger/statements/canonical.ts';
import { serviceOf } from '../../../../../aggregator/ledger/statements/focus-services.ts';
import { GH0STCLOUD, renderFocus } from '../../../../../aggregator/ledger/statements/focus.ts';
import { METERS } from '../../../../../core/metering/catalogue.ts';
import { anyStatement, csvRecords, OCTOBER, reversed, SHOP } from './statements.ts';

const COST = /^-?\d+\.\d{2,}$/;
const DECIMAL = /^(0|-?[1-9]\d*|-?(0|[1-9]\d*)\.\d*[1-9])$/;
const DATE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const CURRENCY = /^[A-Z]{3}$/;
const TEXT = /^[^]*\S[^]*$/;
const UNIT = /^(GiB|Requests|(Core|GiB)-Hours)$/;

type Presence = 'mandatory' | 'conditional' | 'recommended';

/**
 * What FOCUS 1.2 demands of the columns that are here: presence, whether null is allowed, and the form of a
 * value.
 */
const RULES: Readonly<Record<string, readonly [Presence, 'null' | 'set', RegExp]>> = {
  BilledCost: ['mandatory', 'set', COST],
  BillingAccountId: ['mandatory', 'set', TEXT],
  BillingAccountName: ['mandatory', 'null', TEXT],
  BillingCurrency: ['mandatory', 'set', CURRENCY],
  BillingPeriodEnd: ['mandatory', 'set', DATE_TIME],
  BillingPeriodStart: ['mandatory', 'set', DATE_TIME],
  ChargeCategory: ['mandatory', 'set', /^(Usage|Purchase|Tax|Credit|Adjustment)$/],
  ChargeClass: ['mandatory', 'null', /^Correction$/],
  ChargeDescription: ['mandatory', 'null', TEXT],
  ChargeFrequency: ['recommended', 'set', /^(One-Time|Recurring|Usage-Based)$/],
  ChargePeriodEnd: ['mandatory', 'set', DATE_TIME],
  ChargePeriodStart: ['mandatory', 'set', DATE_TIME],
  ConsumedQuantity: ['conditional', 'set', DECIMAL],
  ConsumedUnit: ['conditional', 'set', UNIT],
  ContractedCost: ['mandatory', 'set', COST],
  EffectiveCost: ['mandatory', 'set', COST],
  InvoiceId: ['recommended', 'null', TEXT],
  InvoiceIssuerName: ['mandatory', 'set', TEXT],
  ListCost: ['mandatory', 'set', COST],
  PricingQuantity: ['mandatory', 'set', DECIMAL],
  PricingUnit: ['mandatory', 'set', UNIT],
  ProviderName: ['mandatory', 'set', TEXT],
  PublisherName: ['mandatory', 'set', TEXT],
  ResourceId: ['conditional', 'null', TEXT],
  ResourceName: ['conditional', 'null', TEXT],
  ResourceType: ['conditional', 'null', TEXT],
  ServiceCategory: ['mandatory', 'set', /^(Compute|Networking|Storage|Other)$/],
  ServiceName: ['mandatory', 'set', TEXT],
  ServiceSubcategory: ['recommended', 'set', TEXT],
  SkuId: ['conditional', 'set', TEXT],
  SkuMeter: ['conditional', 'set', TEXT],
  SubAccountId: ['conditional', 'set', TEXT],
  SubAccountName: ['conditional', 'set', TEXT],
  Tags: ['conditional', 'null', /^\{.*\}$/],
};

/** All that FOCUS 1.2 wants in every dataset. */
const MANDATORY = [
  ...['BilledCost', 'BillingAccountId', 'BillingAccountName', 'BillingCurrency', 'BillingPeriodEnd'],
  ...['BillingPeriodStart', 'ChargeCategory', 'ChargeClass', 'ChargeDescription', 'ChargePeriodEnd'],
  ...['ChargePeriodStart', 'ContractedCost', 'EffectiveCost', 'InvoiceIssuerName', 'ListCost'],
  ...['PricingQuantity', 'PricingUnit', 'ProviderName', 'PublisherName', 'ServiceCategory', 'ServiceName'],
];

/** Subcategories of FOCUS 1.2 under the categories that are used here. */
const SUBCATEGORIES: Readonly<Record<string, readonly string[]>> = {
  Compute: [
    ...['Containers', 'End User Computing', 'Quantum Compute', 'Serverless Compute', 'Virtual Machines'],
    'Other (Compute)',
  ],
  Networking: [
    ...['Application Networking', 'Content Delivery', 'Network Connectivity', 'Network Infrastructure'],
    ...['Network Routing', 'Network Security', 'Other (Networking)'],
  ],
  Storage: [
    ...['Backup Storage', 'Block Storage', 'File Storage', 'Object Storage', 'Storage Platforms'],
    'Other (Storage)',
  ],
  Other: ['Other (Other)'],
};

type Row = Readonly<Record<string, string>>;

function rowsOf(statement: Statement): { header: string[]; rows: Row[] } {
  const [header = [], ...records] = csvRecords(renderFocus(statement, GH0STCLOUD));
  const rows = records.map((record) => Object.fromEntries(header.map((name, i) => [name, record[i] ?? '?'])));
  return { header, rows };
}

/** Names of columns that break their rule in a row. */
function broken(row: Row): string[] {
  return Object.entries(RULES).flatMap(([name, [, nullable, form]]) => {
    const value = row[name] ?? '?';
    if (value === '') return nullable === 'null' ? [] : [name];
    return form.test(value) ? [] : [`${name}: ${value}`];
  });
}

describe('a FOCUS file', () => {
  const { header, rows } = rowsOf(SHOP);

  test('has all the columns that FOCUS wants, and of the others only its own and ours', () => {
    expect(MANDATORY.filter((name) => !header.includes(name))).toEqual([]);
    expect(Object.keys(RULES).filter((name) => RULES[name]?.[0] === 'mandatory')).toEqual(MANDATORY);
    expect(header.filter((name) => !(name in RULES) && !/^x_[A-Z][A-Za-z]{1,47}$/.test(name))).toEqual([]);
  });

  test('sorts its columns: those of FOCUS first, each group by name', () => {
    const ours = header.filter((name) => name.startsWith('x_'));
    const theirs = header.filter((name) => !name.startsWith('x_'));
    expect(header).toEqual([...theirs.sort(), ...ours.sort()]);
  });

  test('keeps the rules of every column in every row, for any statement', () => {
    fc.assert(
      fc.property(anyStatement, (statement) => {
        const all = rowsOf(statement).rows;
        expect(all.length).toBe(statement.lines.length + statement.corrections.length);
        for (const row of all) expect(broken(row)).toEqual([]);
      }),
    );
  });

  test('charges a line over the period and says that nothing is priced', () => {
    expect(rows[0]).toEqual({
      ...{ BilledCost: '0.00', ContractedCost: '0.00', EffectiveCost: '0.00', ListCost: '0.00' },
      ...{
        BillingAccountId: 'acme',
        BillingAccountName: 'acme',
        SubAccountId: 'acme',
        SubAccountName: 'acme',
      },
      ...{ BillingCurrency: 'EUR', InvoiceId: '', x_CostStatus: 'Unpriced usage extract' },
      ...{ BillingPeriodStart: '2026-10-01T00:00:00Z', BillingPeriodEnd: '2026-11-01T00:00:00Z' },
      ...{ ChargePeriodStart: '2026-10-01T00:00:00Z', ChargePeriodEnd: '2026-11-01T00:00:00Z' },
      ...{ ChargeCategory: 'Usage', ChargeClass: '', ChargeFrequency: 'Usage-Based' },
      ChargeDescription: 'Usage: cpu of namespace shop in cluster prod-1, 2026-10',
      ...{ ConsumedQuantity: '0.016666667', ConsumedUnit: 'Core-Hours' },
      ...{ PricingQuantity: '0.016666667', PricingUnit: 'Core-Hours' },
      ...{ ProviderName: 'gh0stcloud', PublisherName: 'gh0stcloud', InvoiceIssuerName: 'gh0stcloud' },
      ...{ ResourceId: 'prod-1/shop', ResourceName: 'shop', ResourceType: 'Kubernetes namespace' },
      ...{ ServiceCategory: 'Compute', ServiceSubcategory: 'Containers', ServiceName: 'Kubernetes compute' },
      ...{ SkuId: 'cpu', SkuMeter: 'CPU time of pods, from pod cgroups' },
      Tags: '{"gh0stcloud/cluster":"prod-1","gh0stcloud/meter":"cpu","gh0stcloud/namespace":"shop"}',
      ...{ x_BaseQuantity: '60000000000', x_BaseUnit: 'core-ns', x_ClusterName: 'prod-1' },
      ...{ x_CorrectionId: '', x_NamespaceName: 'shop', x_StatementHash: statementHash(SHOP) },
    });
  });

  test('charges a correction over the hour it corrects, billed in the period that fixed it', () => {
    expect(rows[2]).toMatchObject({
      ...{ ChargeCategory: 'Usage', ChargeClass: 'Correction', x_CorrectionId: 'e'.repeat(32) },
      ...{ ChargePeriodStart: '2026-09-30T23:00:00Z', ChargePeriodEnd: '2026-10-01T00:00:00Z' },
      ...{ BillingPeriodStart: '2026-10-01T00:00:00Z', BillingPeriodEnd: '2026-11-01T00:00:00Z' },
      ChargeDescription: 'Correction: egress of namespace shop in cluster prod-1, hour 2026-09-30T23:00:00Z',
      ...{ ConsumedQuantity: '-1', ConsumedUnit: 'GiB', x_BaseQuantity: '-1073741824' },
    });
  });

  test('names no resource where the source named no namespace', () => {
    const [line] = SHOP.lines;
    const [row] = rowsOf({ ...SHOP, lines: [{ ...line!, namespace: '' }] }).rows;
    expect(row).toMatchObject({ ResourceId: '', ResourceName: '', ResourceType: '', x_NamespaceName: '' });
    expect(broken(row!)).toEqual([]);
  });

  test('names another issuer and its currency where one is given, but never a formula', () => {
    const issuer = { providerName: 'A', publisherName: '=B', invoiceIssuerName: 'C', billingCurrency: 'CHF' };
    const [header_ = [], record = []] = csvRecords(renderFocus(SHOP, issuer));
    const valueOf = (name: string): string | undefined => record[header_.indexOf(name)];
    const names = ['ProviderName', 'PublisherName', 'InvoiceIssuerName', 'BillingCurrency'];
    expect(names.map(valueOf)).toEqual(['A', "'=B", 'C', 'CHF']);
  });

  test('has the same bytes whatever order the rows were read in', () => {
    fc.assert(
      fc.property(anyStatement, (statement) => {
        expect(renderFocus(reversed(statement), GH0STCLOUD)).toBe(renderFocus(statement, GH0STCLOUD));
      }),
      { numRuns: 30 },
    );
  });
});

describe('every meter of the catalogue', () => {
  const lineOf = (meter: string): Statement => ({
    ...{ ...SHOP, corrections: [], lines: [{ ...SHOP.lines[0]!, meter }] },
  });

  test.each(METERS)('$name has a unit and a place in FOCUS', ({ name }) => {
    const { category, subcategory } = serviceOf(name);
    expect(category).not.toBe('Other');
    expect(SUBCATEGORIES[category]).toContain(subcategory);
    expect(broken(rowsOf(lineOf(name)).rows[0]!)).toEqual([]);
  });

  test('that is new is filed under Other', () => {
    const { category, subcategory } = serviceOf('gpu');
    expect(SUBCATEGORIES[category]).toContain(subcategory);
  });
});

test('the check of the rules finds what breaks them', () => {
  const [row] = rowsOf(SHOP).rows;
  const wrong = {
    ...row!,
    BilledCost: '',
    BillingCurrency: 'euro',
    ChargePeriodEnd: new Date(OCTOBER).toISOString(),
  };
  expect(broken({ ...wrong, PricingQuantity: '1e9', ChargeClass: 'Fix' })).toEqual([
    ...['BilledCost', 'BillingCurrency: euro', 'ChargeClass: Fix'],
    ...['ChargePeriodEnd: 2026-10-01T00:00:00.000Z', 'PricingQuantity: 1e9'],
  ]);
});
