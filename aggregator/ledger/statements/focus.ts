/**
 * A statement as a FOCUS 1.2 file: an **unpriced usage extract**. PURE. Prices and invoices are made
 * elsewhere, so this has FOCUS's columns and quantities but no money. FOCUS does not let a cost be null, so
 * costs are 0 and `x_CostStatus` of every row says what those zeros are; unit prices, SKU prices and
 * everything that only a price list knows are left out, as FOCUS allows where none is published. Its rule
 * that 0 must not stand for "absent" is broken by this and cannot be kept without prices: priced FOCUS data
 * is made from this file by replacing the four costs.
 *
 * One row per line of the statement, charged over the period, and one per correction: `ChargeClass`
 * `Correction`, charged over the hour it corrects, billed in the period that fixed it, its quantity signed.
 * Quantities are the presented ones; `x_BaseQuantity` is exact, and the one that counts. Columns are sorted
 * as FOCUS wants, its own before ours.
 *
 * The resource is a namespace of a cluster; what FOCUS calls a region is not known here and left out.
 */
import { HOUR_MS } from '../../../core/metering/hour.ts';
import { csv } from '../../../core/runtime/csv.ts';
import { invariant } from '../../../core/runtime/errors.ts';
import type { CorrectionLine, Statement, StatementLine } from '../statement.ts';
import { instant, statementHash } from './canonical.ts';
import { plainText } from './csv.ts';
import { serviceOf } from './focus-services.ts';
import { boundsOf } from './json.ts';
import { inOrder } from './order.ts';
import { decimalText, definitionOf, toBillionths } from './presented.ts';

/** Who provides, publishes and bills; FOCUS wants their names and a currency in every row. */
export interface FocusIssuer {
  readonly providerName: string;
  readonly publisherName: string;
  readonly invoiceIssuerName: string;
  /** ISO 4217. */
  readonly billingCurrency: string;
}

export const GH0STCLOUD: FocusIssuer = {
  providerName: 'gh0stcloud',
  publisherName: 'gh0stcloud',
  invoiceIssuerName: 'gh0stcloud',
  billingCurrency: 'EUR',
};

export const COST_STATUS = 'Unpriced usage extract';
/** With a point, so that whoever guesses types takes it for the decimal it has to be. */
const NO_COST = '0.00';

/** A line or a correction, with what all rows of the statement share. */
interface Charge {
  readonly meter: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly quantity: bigint;
  readonly startMs: number;
  readonly endMs: number;
  readonly correctionId: string | undefined;
  readonly statement: Statement;
  readonly hash: string;
  readonly issuer: FocusIssuer;
}

/** Null where it is absent. Numbers are decimals that were made here. */
type FocusValue = string | undefined;

/** By name, in FOCUS's order: alphabetical, its own columns first. */
const COLUMNS: Readonly<Record<string, (charge: Charge) => FocusValue>> = {
  BilledCost: () => NO_COST,
  BillingAccountId: ({ statement }) => plainText(statement.tenant),
  BillingAccountName: ({ statement }) => plainText(statement.tenant),
  BillingCurrency: ({ issuer }) => issuer.billingCurrency,
  BillingPeriodEnd: ({ statement }) => instant(boundsOf(statement.period).endMs),
  BillingPeriodStart: ({ statement }) => instant(boundsOf(statement.period).startMs),
  ChargeCategory: () => 'Usage',
  ChargeClass: ({ correctionId }) => (correctionId === undefined ? undefined : 'Correction'),
  ChargeDescription: descriptionOf,
  ChargeFrequency: () => 'Usage-Based',
  ChargePeriodEnd: ({ endMs }) => instant(endMs),
  ChargePeriodStart: ({ startMs }) => instant(startMs),
  ConsumedQuantity: presentedOf,
  ConsumedUnit: unitOf,
  ContractedCost: () => NO_COST,
  EffectiveCost: () => NO_COST,
  InvoiceId: () => undefined,
  InvoiceIssuerName: ({ issuer }) => plainText(issuer.invoiceIssuerName),
  ListCost: () => NO_COST,
  PricingQuantity: presentedOf,
  PricingUnit: unitOf,
  ProviderName: ({ issuer }) => plainText(issuer.providerName),
  PublisherName: ({ issuer }) => plainText(issuer.publisherName),
  ResourceId: ({ cluster, namespace }) => ofNamespace(namespace, `${cluster}/${namespace}`),
  ResourceName: ({ namespace }) => ofNamespace(namespace, namespace),
  ResourceType: ({ namespace }) => ofNamespace(namespace, 'Kubernetes namespace'),
  ServiceCategory: ({ meter }) => serviceOf(meter).category,
  ServiceName: ({ meter }) => serviceOf(meter).name,
  ServiceSubcategory: ({ meter }) => serviceOf(meter).subcategory,
  SkuId: ({ meter }) => meter,
  SkuMeter: ({ meter }) => definitionOf(meter).description,
  SubAccountId: ({ statement }) => plainText(statement.tenant),
  SubAccountName: ({ statement }) => plainText(statement.tenant),
  Tags: tagsOf,
  x_BaseQuantity: ({ quantity }) => quantity.toString(),
  x_BaseUnit: ({ meter }) => definitionOf(meter).unit,
  x_ClusterName: ({ cluster }) => plainText(cluster),
  x_CorrectionId: ({ correctionId }) => correctionId,
  x_CostStatus: () => COST_STATUS,
  x_NamespaceName: ({ namespace }) => ofNamespace(namespace, namespace),
  x_StatementHash: ({ hash }) => hash,
};

export function renderFocus(statement: Statement, issuer: FocusIssuer): string {
  const { lines, corrections, period } = inOrder(statement);
  const shared = { statement, hash: statementHash(statement), issuer };
  const bounds = boundsOf(period);
  const charges = [
    ...lines.map((line) => ({ ...ofLine(line, bounds), ...shared })),
    ...corrections.map((correction) => ({ ...ofCorrection(correction), ...shared })),
  ];
  const columns = Object.values(COLUMNS);
  return csv(
    Object.keys(COLUMNS),
    charges.map((charge) => columns.map((value) => value(charge))),
  );
}

type OwnPart = Omit<Charge, 'statement' | 'hash' | 'issuer'>;

function ofLine(line: StatementLine, { startMs, endMs }: { startMs: number; endMs: number }): OwnPart {
  const { meter, cluster, namespace, quantity } = line;
  return { meter, cluster, namespace, quantity, startMs, endMs, correctionId: undefined };
}

function ofCorrection({ id, hour, before, after, ...key }: CorrectionLine): OwnPart {
  const { meter, cluster, namespace } = key;
  const [quantity, startMs, endMs] = [after - before, hour, hour + HOUR_MS];
  return { meter, cluster, namespace, quantity, startMs, endMs, correctionId: id };
}

/** A row of a source may lack its namespace: then there is no resource, and FOCUS wants null. */
function ofNamespace(namespace: string, value: string): FocusValue {
  return namespace === '' ? undefined : plainText(value);
}

function descriptionOf({ meter, cluster, namespace, startMs, correctionId, statement }: Charge): string {
  const what = `${meter} of namespace ${namespace} in cluster ${cluster}`;
  if (correctionId === undefined) return `Usage: ${what}, ${statement.period}`;
  return `Correction: ${what}, hour ${instant(startMs)}`;
}

function presentedOf({ quantity, meter }: Charge): string {
  return decimalText(toBillionths(quantity, definitionOf(meter)));
}

/** FOCUS writes compound units as `Singular-Plurals`. */
const UNITS: Readonly<Record<string, string>> = {
  'core-hour': 'Core-Hours',
  'GiB-hour': 'GiB-Hours',
  GiB: 'GiB',
  request: 'Requests',
};

function unitOf({ meter }: Charge): string {
  const { unit } = definitionOf(meter).presented;
  const focusUnit = UNITS[unit];
  invariant(focusUnit !== undefined, `unit ${unit} has a name in FOCUS`);
  return focusUnit;
}

function tagsOf({ cluster, namespace, meter }: Charge): string {
  const tags = {
    'gh0stcloud/cluster': cluster,
    'gh0stcloud/meter': meter,
    'gh0stcloud/namespace': namespace,
  };
  return JSON.stringify(tags);
}
