/**
 * What a tenant may use of a meter within a window, as it is declared in a file. PURE. A limit is a decimal
 * in the unit that people read (core-hours, GiB) or, with `unit: base`, an integer of the ledger; either way
 * it has to be a whole number of base units, so that comparing needs no rounding: 0.5 core-hours are
 * 1,800,000,000,000 core-ns.
 */
import { z } from 'zod';
import { billableMeter, METERS } from '../../core/metering/catalogue.ts';
import { MAX_TENANT } from '../../core/metering/names.ts';

/** An hour, a day or a calendar month, UTC. */
export const QUOTA_WINDOWS = ['hour', 'day', 'month'] as const;
export type QuotaWindow = (typeof QUOTA_WINDOWS)[number];

const MAX_DECIMALS = 30;
const DECIMAL = /^(0|[1-9]\d*)(\.\d+)?$/;
const MAX_THRESHOLDS = 10;
const METER_NAMES = METERS.map(({ name }) => name).join(', ');

export const quotaSchema = z
  .strictObject({
    tenant: z.string().min(1).max(MAX_TENANT),
    meter: z.string().refine((name) => billableMeter(name) !== undefined, `must be one of ${METER_NAMES}`),
    window: z.enum(QUOTA_WINDOWS),
    /** Text, because JSON numbers end at 2^53. */
    limit: z.string().max(MAX_DECIMALS).regex(DECIMAL, 'must be a decimal in text, such as "100" or "0.5"'),
    /** `presented`: core-hours, GiB-hours, GiB; `base`: core-ns, byte-ms, bytes. */
    unit: z.enum(['presented', 'base']).default('presented'),
    /** Per cent of the limit at which something is to be said. */
    thresholds: z.array(z.int().min(1).max(1_000)).max(MAX_THRESHOLDS).default([80, 100]),
  })
  .superRefine((quota, context) => {
    // What is no meter or no decimal is told already.
    if (billableMeter(quota.meter) === undefined || !DECIMAL.test(quota.limit)) return;
    if (baseLimit(quota) !== undefined) return;
    const message = 'must be a whole number of base units, above 0';
    context.addIssue({ code: 'custom', path: ['limit'], message });
  });

export const quotasSchema = z.array(quotaSchema).superRefine((quotas, context) => {
  const seen = new Map<string, number>();
  for (const [i, { tenant, meter, window }] of quotas.entries()) {
    const key = JSON.stringify([tenant, meter, window]);
    const first = seen.get(key);
    if (first === undefined) seen.set(key, i);
    else context.addIssue({ code: 'custom', path: [i], message: `is declared already, as number ${first}` });
  }
});

export type Quota = Readonly<z.output<typeof quotaSchema>>;

/** Of a limit that is a decimal, in base units; undefined where it is none, or not a whole number of them. */
export function baseLimit({
  meter,
  limit,
  unit,
}: Pick<Quota, 'meter' | 'limit' | 'unit'>): bigint | undefined {
  const definition = billableMeter(meter);
  if (definition === undefined) return undefined;
  const [whole = '', fraction = ''] = limit.split('.');
  const digits = BigInt(whole + fraction) * (unit === 'base' ? 1n : definition.presented.baseUnits);
  const scale = 10n ** BigInt(fraction.length);
  return digits % scale === 0n && digits > 0n ? digits / scale : undefined;
}
