/**
 * The SQL of usage that is told apart finer than the ledger's key: by workload, destination, storage class.
 *
 * Details are kept for months, change with what late facts bring to light, and are no ledger: what the ledger
 * says of a window beyond the sum of its details (hours whose details are gone, a closed hour that was
 * corrected since) stands under the empty values, with its sign. So a breakdown always adds up to the plain
 * figure. Of a question that filters by a detail it is no part: nobody knows which of them it would be.
 */
import type { Statement } from './statements.ts';
import { columnList, NO_MERGE_ACROSS, quartersOf, RANGE } from './statements.ts';

export interface DetailStatement {
  /** Columns of the plain figures, and of the details. */
  readonly groupBy: readonly string[];
  readonly details: readonly string[];
  /** On the key columns of usage, the scope's among them, and on those of details. */
  readonly conditions: readonly string[];
  readonly detailConditions: readonly string[];
  /** Over the same range and groups. */
  readonly plain: Statement;
}

/** Rows of `window`, groups, details, `amount`, and the `revision` of the plain figure. */
export function detailStatement(statement: DetailStatement): Statement {
  const { groupBy, details, conditions, detailConditions, plain } = statement;
  const all = columnList([...groupBy, ...details]);
  const isWhole = detailConditions.length === 0;
  const where = [RANGE, ...conditions, ...detailConditions].join(' AND ');
  const told = `
      SELECT roundDown(t, {starts:Array(Int64)}) AS window${all}, sum(quantity) AS amount, 0 AS revision
      FROM (${quartersOf(
        [...groupBy, ...details],
        `SELECT hour${all}, q0, q1, q2, q3, 0 AS revision FROM detail_parts FINAL PREWHERE ${where}
          ${NO_MERGE_ACROSS}`,
      )})
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
  const isNothing = details.length === 0 ? '0' : details.map((name) => `${name} = ''`).join(' AND ');
  return {
    sql: `
    SELECT window${all}, amount, revision FROM
    (
      SELECT window${all}, amount,
        max(newest) OVER (PARTITION BY window${columnList(groupBy)}) AS revision
      FROM
      (
        SELECT window${all}, sum(amount) AS amount, max(revision) AS newest
        FROM (${told} UNION ALL ${isWhole ? rest : revision})
        GROUP BY window${all}
      )
    )
    WHERE NOT (${isNothing} AND amount = 0)`,
    parameters: plain.parameters,
  };
}
