/** Where sightings are kept, and whose usage they decide about. Each is read and judged by the same rules. */
import { DETAIL_FACTS, METERS } from '../../core/metering/catalogue.ts';

/**
 * Parts of statements about one {cluster}. Subjects are named by a text: those of a history are never mixed
 * with those of another.
 */
export interface History {
  readonly table: string;
  /** Rows (who, at, what) with {from} < at <= {to}: what was sighted of whom when. */
  readonly within: string;
  /** The same of all times, of {subjects} alone. */
  readonly ofSubjects: string;
  /** Rows (series, who): the series that the histories of {subjects} decide about, or more. */
  readonly series: string;
  /** A subject that is still there was sighted so long ago at most, as a rule. */
  readonly seenEveryMs: number;
}

/** Whose a namespace is; the subject is its name. */
export const TENANT_LABELS: History = {
  table: 'label_history',
  within: `SELECT toString(namespace) AS who, t AS at, toString(tenant) AS what FROM label_history
    WHERE cluster = {cluster:String} AND t > {from:Int64} AND t <= {to:Int64}`,
  ofSubjects: `SELECT toString(namespace) AS who, t AS at, toString(tenant) AS what FROM label_history
    WHERE cluster = {cluster:String} AND namespace IN {subjects:Array(String)}`,
  series: `SELECT DISTINCT series, toString(namespace) AS who FROM series
    WHERE cluster = {cluster:String} AND namespace IN {subjects:Array(String)}`,
  seenEveryMs: Infinity,
};

/** `namespace/Kind/name`: the subject of a detail history. Names in a cluster hold no slash. */
export function subjectOf(namespace: string, kindAndName: string): string {
  return `${namespace}/${kindAndName}`;
}

const HOUR_MS = 3_600_000;
/** The largest time a DateTime holds, in seconds. */
const LAST_SECOND = 4294967295;

const SIGHTED =
  "SELECT concat(namespace, '/', subject) AS who, min(t) AS at, value AS what FROM detail_history";
const PER_HOUR = 'GROUP BY namespace, subject, hour, value';
const ASKED = `SELECT asked AS who, substring(asked, 1, position(asked, '/') - 1) AS ns,
  substring(asked, position(asked, '/') + 1) AS own
  FROM (SELECT arrayJoin({subjects:Array(String)}) AS asked)`;
const NAMESPACES = `SELECT ns FROM (${ASKED})`;

/** Subjects that a series names by itself: its pod, its claim. */
const NAMED = [
  ...new Set(
    METERS.flatMap(({ breakdown: { pod, claim } }) => [
      ...(pod === undefined ? [] : [`concat('${DETAIL_FACTS.kube_pod_owner.kind}/', labels['${pod}'])`]),
      ...(claim === undefined
        ? []
        : [`concat('${DETAIL_FACTS.kube_persistentvolumeclaim_info.kind}/', labels['${claim}'])`]),
    ]),
  ),
];

/** What usage is broken down by: owners of pods and of their owners, classes of claims. */
export const DETAILS: History = {
  table: 'detail_history',
  within: `SELECT who, at, what FROM (
      ${SIGHTED} WHERE cluster = {cluster:String}
        AND hour >= toDateTime(greatest(0, intDiv({from:Int64}, 1000) - 3600), 'UTC')
        AND hour <= toDateTime(least(${LAST_SECOND}, intDiv({to:Int64}, 1000)), 'UTC') ${PER_HOUR})
    WHERE at > {from:Int64} AND at <= {to:Int64}`,
  ofSubjects: `${SIGHTED} WHERE cluster = {cluster:String}
      AND namespace IN (${NAMESPACES}) AND subject IN (SELECT own FROM (${ASKED}))
      AND who IN {subjects:Array(String)} ${PER_HOUR}`,
  series: `SELECT DISTINCT s.series AS series, o.who AS who FROM (
      SELECT series, toString(namespace) AS space, arrayJoin([${NAMED.join(', ')}]) AS named FROM series
      WHERE cluster = {cluster:String} AND namespace IN (${NAMESPACES})
    ) AS s INNER JOIN (
      SELECT who, ns, own FROM (${ASKED})
      UNION DISTINCT
      SELECT a.who, toString(h.namespace), h.subject FROM (
        SELECT DISTINCT namespace, subject, value FROM detail_history
        WHERE cluster = {cluster:String} AND namespace IN (${NAMESPACES})
          AND value IN (SELECT own FROM (${ASKED}))
      ) AS h INNER JOIN (${ASKED}) AS a ON toString(h.namespace) = a.ns AND h.value = a.own
    ) AS o ON s.space = o.ns AND s.named = o.own`,
  seenEveryMs: 2 * HOUR_MS,
};
