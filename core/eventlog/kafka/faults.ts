import { MeteringError } from '../../runtime/errors.ts';

/** What a call was about, for advice that can be followed. */
export interface Attempt {
  /** What was tried, as a sentence names it: `append to usage.production`. */
  readonly operation: string;
  /** Who connects, as ACLs name it; undefined without SASL. */
  readonly principal?: string | undefined;
  /** The brokers said that it may not use the group; the library does not pass that on. */
  readonly isGroupDenied?: boolean;
}

interface Fault {
  readonly retryable: boolean;
  readonly advice: string;
  /** Instead of what the library says. */
  readonly what?: string;
}

const GROUP_DENIED = refused('it may not Read the group; docs/kafka.md lists the rights it needs');

/** By the name that Kafka's protocol gives them; what is absent passes by itself, as far as can be told. */
const PROTOCOL_FAULTS: ReadonlyMap<string, Fault> = new Map([
  ['CLUSTER_AUTHORIZATION_FAILED', refused('give it the rights that docs/kafka.md lists')],
  ['GROUP_AUTHORIZATION_FAILED', GROUP_DENIED],
  ['ILLEGAL_SASL_STATE', refused('no login is expected at this port; check brokers and sasl')],
  [
    'TOPIC_AUTHORIZATION_FAILED',
    refused('it may not do that with the topic; docs/kafka.md lists the rights it needs'),
  ],
  ['INVALID_REQUIRED_ACKS', refused('the brokers do not take acks=all')],
  ['INVALID_TOPIC_EXCEPTION', refused('no topic can have this name; letters, digits, ".", "_" and "-"')],
  ['UNSUPPORTED_VERSION', refused('the brokers do not speak this version; run Kafka 2.1 or later')],
]);

/** What decoding throws: of the library, by the bounds of a buffer, and of our codecs. */
const UNREADABLE = ['RangeError', 'Undecodable'];

const SPLIT = 'raise max.message.bytes of the topic, or split the record';

/** What is wrong with the record itself: nobody can take it, now or later. */
const BAD_RECORD: ReadonlyMap<string, string> = new Map([
  ['MESSAGE_TOO_LARGE', SPLIT],
  ['RECORD_LIST_TOO_LARGE', SPLIT],
  ['INVALID_TIMESTAMP', 'its time is further ahead than the brokers allow; set the clock of its sender'],
]);

/** A commit that fails with these came from a member that has lost its partitions, or is about to. */
const REASSIGNED = ['FENCED_INSTANCE_ID', 'ILLEGAL_GENERATION', 'REBALANCE_IN_PROGRESS', 'UNKNOWN_MEMBER_ID'];

/** Codes of TLS that no retry mends. */
const TLS_CODES = /^(ERR_SSL_|ERR_TLS_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH)/;

function refused(advice: string): Fault {
  return { retryable: false, advice };
}

/**
 * What the client library threw, as an operating fault. One of ours within it, thrown by what the library
 * called, stays as it is; so does what no fault explains: a bug.
 */
export function translateFault(error: unknown, attempt: Attempt): unknown {
  const ours = chainOf(error).find((link) => link instanceof MeteringError);
  if (ours !== undefined) return ours;
  const cause = rootCause(error);
  if (!(cause instanceof Error) || !isOfTheLibrary(cause)) return cause;
  const type = protocolType(cause);
  const badRecord = type === undefined ? undefined : BAD_RECORD.get(type);
  if (badRecord !== undefined) {
    const text = `Kafka: ${attempt.operation}: ${cause.message}; ${badRecord}`;
    return new MeteringError('METER_INPUT_UNREADABLE', text, { cause });
  }
  const { retryable, advice, what = cause.message } = faultOf(cause, type, attempt);
  const who = attempt.principal === undefined ? '' : ` as ${attempt.principal}`;
  const message = `Kafka: ${attempt.operation}${who}: ${what}; ${advice}`;
  return new MeteringError('METER_LOG_UNAVAILABLE', message, { retryable, cause: error });
}

/** True when a commit failed because the partitions have been, or are being, given out anew. */
export function isReassigned(error: unknown): boolean {
  const cause = rootCause(error);
  return cause instanceof Error && REASSIGNED.includes(protocolType(cause) ?? '');
}

export function isUnknownTopic(error: unknown): boolean {
  const cause = rootCause(error);
  return cause instanceof Error && protocolType(cause) === 'UNKNOWN_TOPIC_OR_PARTITION';
}

export function rootCause(error: unknown): unknown {
  return chainOf(error).at(-1);
}

/** The library wraps what it gave up on, often more than once: the outermost first. */
function chainOf(error: unknown): readonly unknown[] {
  const chain = [error];
  for (let at = error; at instanceof Error && at.cause instanceof Error; at = at.cause) chain.push(at.cause);
  return chain;
}

/** Its own errors, and those of decoding an answer that is not what it should be. */
function isOfTheLibrary(cause: Error): boolean {
  return cause.name.startsWith('KafkaJS') || UNREADABLE.includes(cause.name) || isFromWithin(cause);
}

/**
 * Thrown by the library's own code, which did not expect it: what it knows of topics and brokers is shared,
 * so one call can forget what another is in the midst of. What it calls of ours throws from our files.
 */
function isFromWithin({ stack = '' }: Error): boolean {
  const innermost = stack.split('\n').find((line) => line.startsWith('    at '));
  return innermost?.includes('/node_modules/kafkajs/') === true;
}

/** The name that Kafka's protocol gives it. */
export function protocolType(error: Error): string | undefined {
  return 'type' in error && typeof error.type === 'string' ? error.type : undefined;
}

function faultOf(cause: Error, type: string | undefined, { isGroupDenied }: Attempt): Fault {
  const known = type === undefined ? undefined : PROTOCOL_FAULTS.get(type);
  if (known !== undefined) return known;
  if (isGroupDenied === true && cause.name === 'KafkaJSGroupCoordinatorNotFound') return GROUP_DENIED;
  if (cause.name === 'KafkaJSSASLAuthenticationError' || type === 'SASL_AUTHENTICATION_FAILED')
    return refused('check the mechanism, name and password of the settings under sasl');
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
  if (TLS_CODES.test(code)) {
    return { ...refused('check the certificates of the settings under ssl'), what: `TLS failed (${code})` };
  }
  if (UNREADABLE.includes(cause.name)) return refused('an answer of the brokers cannot be read');
  const isConnection = cause.name.startsWith('KafkaJSConnection');
  return {
    retryable: true,
    advice: isConnection
      ? 'it is tried again; if it never works, check brokers and ssl'
      : 'it is tried again',
  };
}
