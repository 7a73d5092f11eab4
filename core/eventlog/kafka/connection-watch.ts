import kafkajs, { type LogEntry } from 'kafkajs';

import type { FactSink } from '../../runtime/facts.ts';

/** The library's words for GROUP_AUTHORIZATION_FAILED. */
const GROUP_DENIED = 'Not authorized to access group: Group authorization failed';

/**
 * What the client library says about its connections, as one fact when a broker is lost and one when it
 * answers again; it tells of every attempt in between by itself. The rest is told at debug level: what
 * matters of it comes back as an error from a call.
 */
export class ConnectionWatch {
  readonly #facts: FactSink;
  readonly #lost = new Set<string>();
  #isGroupDenied = false;

  constructor(facts: FactSink) {
    this.#facts = facts;
  }

  readonly logCreator = (): ((entry: LogEntry) => void) => {
    return (entry) => this.#take(entry);
  };

  /** True once after the brokers said so: the library reports a coordinator that cannot be found instead. */
  takeGroupDenied(): boolean {
    const isDenied = this.#isGroupDenied;
    this.#isGroupDenied = false;
    return isDenied;
  }

  /** A broker answered. */
  answered(broker: string): void {
    if (this.#lost.delete(broker)) this.#facts.event('logReachable', { broker });
  }

  #take({ namespace, level, log }: LogEntry): void {
    const { broker, correlationId, message } = log;
    const detail = typeof log['error'] === 'string' ? `: ${log['error']}` : '';
    if (log['error'] === GROUP_DENIED) this.#isGroupDenied = true;
    // Answers that are errors have a number; what has none is about the connection itself.
    const isConnection = namespace === 'Connection' && correlationId === undefined;
    if (level !== kafkajs.logLevel.ERROR || !isConnection || typeof broker !== 'string') {
      this.#facts.event('logClientSaid', { part: namespace, text: message + detail });
    } else if (!this.#lost.has(broker)) {
      this.#lost.add(broker);
      this.#facts.event('logUnreachable', { broker, error: message });
    }
  }
}
