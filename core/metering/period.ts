/** Billing periods: calendar months, UTC. A period is a number, 202610, or its name, `2026-10`. */
export type Period = number;

/** The period that an instant lies in; its first millisecond belongs to it, its end does not. */
export function periodOf(ms: number): Period {
  const date = new Date(ms);
  return date.getUTCFullYear() * 100 + date.getUTCMonth() + 1;
}

/** Start of the period, ms. */
export function periodStart(period: Period): number {
  return Date.UTC(Math.floor(period / 100), (period % 100) - 1);
}

/** End of the period, ms: the start of the next. */
export function periodEnd(period: Period): number {
  return Date.UTC(Math.floor(period / 100), period % 100);
}

export function nextPeriod(period: Period): Period {
  return periodOf(periodEnd(period));
}

/** 202610 -> `2026-10`. */
export function periodName(period: Period): string {
  const digits = String(period);
  return `${digits.slice(0, 4)}-${digits.slice(4)}`;
}

/** `2026-10` -> 202610; undefined for anything else. */
export function parsePeriod(name: string): Period | undefined {
  const match = /^(2\d{3})-(0[1-9]|1[0-2])$/.exec(name);
  return match === null ? undefined : Number(match[1]) * 100 + Number(match[2]);
}
