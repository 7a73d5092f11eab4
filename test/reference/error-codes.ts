/** What every code means and asks for. The types keep the tables complete: a new code without a line does not compile. */
import { readFileSync } from 'node:fs';
import type { ProblemCode } from '../../aggregator/api/problem.ts';
import type { ErrorCode } from '../../core/runtime/errors.ts';

export const ERROR_CODES: Readonly<Record<ErrorCode, string>> = {
  METER_CONFIG_INVALID:
    'A setting, file or argument is wrong. Correct what the message lists; all of it is listed.',
  METER_LOG_UNAVAILABLE:
    'The log cannot be opened, read or written. Check the path, its disk and who else has it open.',
  METER_LOG_BEHIND_STORE:
    'The log ends before what the store has seen. See [log-behind-store](../runbooks/log-behind-store.md).',
  METER_STORE_UNAVAILABLE: 'The store does not answer. Ingest waits for it and loses nothing.',
  METER_STORE_BUSY: 'The store is out of memory or slots for the moment. It is tried again.',
  METER_STORE_REJECTED: 'The store refused a statement: a bug, or a schema that was altered by hand.',
  METER_QUERY_TIMEOUT: 'A query took longer than it may. Ask for a shorter range or larger windows.',
  METER_QUERY_LIMIT: 'A query needed more memory or gave more rows than it may. Ask for less at once.',
  METER_OVERLOADED: 'More queries are asked than the API passes on. Callers try again; limits are settings.',
  METER_MIGRATION_CONFLICT:
    'Log or store are of another release, or a migration was changed. Start the release that fits.',
  METER_DATA_LOCKED: 'Another process has this data directory. Stop it, or name another directory.',
  METER_LEASE_LOST: 'Another process writes the ledger now. This one goes on beside it; nothing to do.',
  METER_INPUT_UNREADABLE: 'A file or record is not what it should be. The message says where and why.',
  METER_ISSUER_UNAVAILABLE:
    'The keys of the token issuer cannot be read. See [issuer-unavailable](../runbooks/issuer-unavailable.md).',
};

export const PROBLEM_CODES: Readonly<Record<ProblemCode, string>> = {
  METER_REQUEST_INVALID: 'Correct the parameters; `problems` lists every one.',
  METER_REQUEST_MALFORMED: 'The address or the body is not well-formed.',
  METER_UNAUTHENTICATED: 'Send an access token that is good here; `www-authenticate` says what was wrong.',
  METER_FORBIDDEN: 'Ask for a role in the organization. See [identity](../identity.md).',
  METER_NOT_FOUND: 'Check the path.',
  METER_UNKNOWN_METER: '`GET /api/v1/meters` lists what there is.',
  METER_METHOD_NOT_ALLOWED: 'The header `allow` says what is.',
  METER_NOT_ACCEPTABLE: 'Accept `application/json` or `text/csv`.',
  METER_REQUEST_TIMEOUT: 'Send the request in one go.',
  METER_CURSOR_GONE: 'Begin without `after`; what is there already is known by its `id`.',
  METER_BODY_TOO_LARGE: 'Ask in several requests.',
  METER_RESULT_TOO_LARGE: 'Shorten the range, take larger windows, or filter.',
  METER_MEDIA_TYPE_UNSUPPORTED: 'Send `application/json`.',
  METER_MISDIRECTED: 'Without identity the API answers on loopback names only.',
  METER_TOO_MANY_REQUESTS: 'Wait as long as `retry-after` says; `ratelimit` tells what is left.',
  METER_HEADERS_TOO_LARGE: 'Shorten the address or the headers; send long filters in a body.',
  METER_INTERNAL: 'The log tells more under the request id. See [api-errors](../runbooks/api-errors.md).',
  METER_UNAVAILABLE: 'Nothing is lost; try again after `retry-after` seconds.',
  METER_IDENTITY_UNAVAILABLE:
    'Try again after `retry-after` seconds. See [issuer-unavailable](../runbooks/issuer-unavailable.md).',
  METER_OVERLOADED: 'Nothing was begun; try again after `retry-after` seconds.',
  METER_TIMEOUT: 'Ask for a shorter range, fewer groups or larger windows.',
};

/** Status and title of each problem, from the catalogue that the API answers by. */
export function problemKinds(source: string): Map<string, { status: string; title: string }> {
  const entries = readFileSync(source, 'utf8').matchAll(
    /(METER_\w+): \{ status: (\d+), title: '([^']+)' \}/g,
  );
  return new Map([...entries].map(([, code = '', status = '', title = '']) => [code, { status, title }]));
}
