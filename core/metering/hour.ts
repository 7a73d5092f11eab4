/** Hours and quarters of an hour, the grain of usage that is kept. Times are whole ms since the epoch. */
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
export const QUARTER_MS = 900_000;
export const MINUTE_MS = 60_000;

/**
 * Start of the hour that owns t: an instant on a boundary belongs to the earlier hour (10:00:00.000 ->
 * 09:00).
 */
export function owningHour(t: number): number {
  return Math.floor((t - 1) / HOUR_MS) * HOUR_MS;
}

/** Start of the hour that t lies in, boundaries belonging to the later hour. */
export function startOfHour(t: number): number {
  return Math.floor(t / HOUR_MS) * HOUR_MS;
}
