/**
 * The SQL of usage that is told apart finer than the ledger's key: by workload, destination, storage class.
 *
 * Details are kept for months, change with what late facts bring to light, and are no ledger: what the ledger
 * says of a window beyond the sum of its details (hours whose details are gone, a closed hour that was
 * corrected since) stands under the empty values, with its sign. So a breakdown always adds up to the plain
 * figure. Of a question that filters by a detail it is no part: nobody knows which of them it would be.
 *
 * A filter is held against what is told. A group that has nothing of it in the range has no rows; one that
 * has something, and is told apart by no detail, has one in every window of the plain figure, with its
 * revision: its 0 is settled too.
 */
import type { ToldDestinations } from '../identity/told-destinations.ts';
import type { Statement } from './statements.ts';
import { columnList, NO_MERGE_ACROSS, quartersOf, RANGE } from './statements.ts';

export interface DetailStatement {
  /** Columns of the plain figures, and of the details. */
  readonly groupBy: readonly string[];
  readonly details: readonly string[];
  /** On the key columns of usage, the scope's among them. */
  readonly conditions: readonly string[];
  /** On other details than destinations. */
  readonly detailConditions: readonly string[];
  readonly destinationConditions: readonly string[];
  /** Undefined: as they are stored. */
  readonly destinations: ToldDestinations | undefined;
  /** Groups that have nothing of what is filtered by too. */
  readonly withIdle: boolean;
  /** Over the same range and groups. */
  readonly plain: Statement;
}

/** Rows of `window`, groups, details, `amount`, and the `revision` of the plain figure. */
export function detailStatement(statement: DetailStatement): Statement {
  const { groupBy, details, detailConditions, destinationConditions, plain, withIdle } = statement;
  const all = columnList([...groupBy, ...details]);
  const isWhole = detailConditions.length === 0 && destinationConditions.length === 0;
  const { sql: read, parameters } = detailRows(statement);
  const told = `
      SELECT roundDown(t, {starts:Array(Int64)}) AS window${all}, sum(quantity) AS amount, 0 AS revision
      FROM (${quartersOf([...groupBy, ...details], read)})
      WHERE t >= {fromMs:Int64} AND t < {toMs:Int64}
      GROUP BY window${all}`;
  const empty = details.map((name) => `, '' AS ${name}`).join('');
  const rest = `
      SELECT window${columnList(groupBy)}${empty}, amount, revision FROM (${plain.sql})
      UNION ALL
      SELECT window${columnList(groupBy)}${empty}, -sum(amount) AS amount, 0 AS revision FROM (${told})
      GROUP BY window${columnList(groupBy)}`;
  const keys = `window${columnList(groupBy)}`;
  const revision = `SELECT ${keys}${empty}, toInt256(0) AS amount, revision FROM (${plain.sql})`;
  const ofGroup = groupBy.length === 0 ? '' : `PARTITION BY ${groupBy.join(', ')}`;
  const isShown = details.length > 0 ? 'amount != 0' : withIdle ? '1' : 'isUsed';
  return {
    sql: `
    SELECT window${all}, amount, revision FROM
    (
      SELECT window${all}, amount,
        max(newest) OVER (PARTITION BY window${columnList(groupBy)}) AS revision,
        max(amount != 0) OVER (${ofGroup}) AS isUsed
      FROM
      (
        SELECT window${all}, sum(amount) AS amount, max(revision) AS newest
        FROM (${told} UNION ALL ${isWhole ? rest : revision})
        GROUP BY window${all}
      )
    )
    WHERE ${isShown}`,
    parameters: { ...plain.parameters, ...parameters },
  };
}

/** Rows of `hour`, groups, details, quarters and `revision`, with what is filtered by alone. */
function detailRows(statement: DetailStatement): Statement {
  const { groupBy, details, conditions, detailConditions, destinationConditions } = statement;
  const columns = [...groupBy, ...details];
  const isTold = details.includes('destination') || destinationConditions.length > 0;
  const destinations = isTold ? statement.destinations : undefined;
  const from = (where: readonly string[]): string =>
    `FROM detail_parts FINAL PREWHERE ${[RANGE, ...where].join(' AND ')} ${NO_MERGE_ACROSS}`;
  const row = `SELECT hour${columnList(columns)}, q0, q1, q2, q3, 0 AS revision`;
  if (destinations === undefined) {
    const where = [...conditions, ...detailConditions, ...destinationConditions];
    return { sql: `${row} ${from(where)}`, parameters: {} };
  }
  const others = columnList(columns.filter((name) => name !== 'destination'));
  const named = `SELECT cluster, destination FROM detail_parts WHERE ${[RANGE, ...conditions].join(' AND ')}`;
  return {
    // Of what is told nothing is read but by what is told of it: a filter by a name of another finds nothing.
    sql: `${row} FROM (
          SELECT hour${others}, told AS destination, q0, q1, q2, q3 FROM (
            SELECT hour${others}, ${destinations.sql(named)} AS told, q0, q1, q2, q3
            ${from([...conditions, ...detailConditions])}))
        WHERE ${['1', ...destinationConditions].join(' AND ')}`,
    parameters: destinations.parameters,
  };
}
