/** The unit of roll-up, and how tables that are keyed by it are asked. */
export interface Unit {
  readonly cluster: string;
  /** Start of the hour, ms. */
  readonly hour: number;
}

/** Series ids are 16 bytes, held as latin1 strings of 16 characters. */
export type SeriesKey = string;

/** Condition on tables that are keyed by (cluster, hour). */
export const IN_UNIT = "cluster = {cluster:String} AND hour = toDateTime({hour:Int64}, 'UTC')";

export function unitParameters(unit: Unit): { cluster: string; hour: number } {
  return { cluster: unit.cluster, hour: unit.hour / 1000 };
}
