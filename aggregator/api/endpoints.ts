/** All that can be asked. The document, the routes and the tests of tenants' isolation go by this list. */
import type { Endpoint } from './endpoint/endpoint.ts';
import { LIST_RECONCILIATION, LIST_WATERMARKS } from './evidence/cluster-answers.ts';
import { EXPLAIN_NUMBER } from './evidence/explain-number.ts';
import { LIST_LEDGER } from './feed/list-ledger.ts';
import { LIST_METERS } from './meters.ts';
import { QUERY_METER, QUERY_METER_BY_POST, type QueryDeps } from './query.ts';
import type { Readers } from './readers.ts';
import { LIST_PERIODS, LIST_STATEMENTS } from './statements/period-answers.ts';
import { GET_STATEMENT } from './statements/statement-answers.ts';
import { LIST_BREACHES, LIST_QUOTAS } from './tenants/quota-answers.ts';
import { GET_TENANT_USAGE, LIST_TENANTS } from './tenants/tenant-answers.ts';

/** What answers are made from. An endpoint sees no more of it than it names. */
export type EndpointDeps = QueryDeps & Readers;

export const ENDPOINTS: readonly Endpoint<EndpointDeps>[] = [
  LIST_METERS,
  QUERY_METER,
  QUERY_METER_BY_POST,
  LIST_TENANTS,
  GET_TENANT_USAGE,
  LIST_QUOTAS,
  LIST_BREACHES,
  LIST_PERIODS,
  LIST_STATEMENTS,
  GET_STATEMENT,
  LIST_LEDGER,
  EXPLAIN_NUMBER,
  LIST_RECONCILIATION,
  LIST_WATERMARKS,
];
