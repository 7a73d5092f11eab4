/**
 * Quantities as people read them: core-hours, GiB-hours, GiB, requests. PURE. A base unit is rarely a finite
 * decimal of those (1 core-ns is 1/3,600,000,000,000 core-hour), so they are rounded half to even, once, to
 * billionths: what a decimal point and at most nine digits hold. 60,000,000,000 core-ns = 0.016666667
 * core-hours. Nothing is computed from them: the base quantity is the one that counts, and sums are taken
 * over it.
 */
import { meterNamed, type MeterDefinition } from '../../../core/metering/catalogue.ts';
import { invariant } from '../../../core/runtime/errors.ts';

export const FRACTION_DIGITS = 9;
const BILLION = 10n ** BigInt(FRACTION_DIGITS);

/**
 * A line of a meter that the catalogue does not know cannot come about: meters are added, never taken away.
 */
export function definitionOf(meter: string): MeterDefinition {
  const definition = meterNamed(meter);
  invariant(definition !== undefined, `meter ${meter} of a statement is in the catalogue`);
  return definition;
}

/** Base units to billionths of the presented unit, half to even. */
export function toBillionths(quantity: bigint, { presented }: Pick<MeterDefinition, 'presented'>): bigint {
  const size = quantity < 0n ? -quantity : quantity;
  const scaled = size * BILLION;
  const floor = scaled / presented.baseUnits;
  const twice = 2n * (scaled - floor * presented.baseUnits);
  const up = twice > presented.baseUnits || (twice === presented.baseUnits && (floor & 1n) === 1n);
  const rounded = up ? floor + 1n : floor;
  return quantity < 0n ? -rounded : rounded;
}

/** 1,500,000,000 -> `1.5`: no zeros at the end, no exponent, and no minus before nothing. */
export function decimalText(billionths: bigint): string {
  const size = billionths < 0n ? -billionths : billionths;
  const fraction = (size % BILLION).toString().padStart(FRACTION_DIGITS, '0').replace(/0+$/, '');
  const sign = billionths < 0n ? '-' : '';
  return `${sign}${size / BILLION}${fraction === '' ? '' : `.${fraction}`}`;
}

/** A quantity of a meter as people read it, and both units by name. */
export function presentedText(
  quantity: bigint,
  meter: string,
): { readonly unit: string; readonly presentedQuantity: string; readonly presentedUnit: string } {
  const definition = definitionOf(meter);
  return {
    unit: definition.unit,
    presentedQuantity: decimalText(toBillionths(quantity, definition)),
    presentedUnit: definition.presented.unit,
  };
}
