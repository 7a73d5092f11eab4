import { readFileSync } from 'node:fs';

import kafkajs, { type Kafka, type KafkaConfig, type Mechanism } from 'kafkajs';

import type { Clock } from '../../runtime/clock.ts';
import { invariant, MeteringError } from '../../runtime/errors.ts';
import { AccessToken } from './access-token.ts';
import type { KafkaLogConfig, SaslConfig, SslConfig } from './config.ts';
import type { ConnectionWatch } from './connection-watch.ts';
import { loginBy } from './login.ts';
import { Sockets } from './sockets.ts';

/** The library's own is a second, which a TLS handshake with a busy broker can take. */
const CONNECTION_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;

/** Six seconds in all, as much again where a connection has to be made; callers try again after it. */
export const RETRY = { initialRetryTime: 200, maxRetryTime: 5_000, multiplier: 2, factor: 0.2, retries: 5 };

export interface ClientDeps {
  readonly clock: Clock;
  readonly watch: ConnectionWatch;
}

/** A producer, consumer or admin: it tells which broker has answered a request, and which has not. */
interface Asking {
  readonly events: { readonly REQUEST: string; readonly REQUEST_TIMEOUT: string };
  on(event: string, listener: (told: { readonly payload: { readonly broker: string } }) => void): unknown;
}

export interface KafkaClient {
  readonly kafka: Kafka;
  /** To be called with whatever is made of it: it tells of brokers that answer, and of those that do not. */
  readonly attend: (asking: Asking) => void;
}

/**
 * Makes clients of one configuration. Each consumer takes one of its own, because the library keeps the
 * positions of a group in the client, shared by all of its consumers.
 */
export class KafkaClients {
  readonly #config: KafkaLogConfig;
  readonly #deps: ClientDeps;
  readonly #token: AccessToken | undefined;
  readonly #sockets = new Sockets();

  constructor(config: KafkaLogConfig, deps: ClientDeps) {
    this.#config = config;
    this.#deps = deps;
    const { sasl } = config;
    if (sasl?.mechanism === 'OAUTHBEARER') this.#token = new AccessToken(sasl, deps.clock);
  }

  /** Who connects, as an ACL names it. */
  get principal(): string | undefined {
    const { sasl } = this.#config;
    return sasl === undefined ? undefined : `User:${sasl.username ?? sasl.clientId ?? ''}`;
  }

  /** Reads certificates anew: a client that is made after a fault has the newest. */
  create({ retries = RETRY.retries }: { readonly retries?: number } = {}): KafkaClient {
    const { brokers, clientId, ssl, sasl } = this.#config;
    const { watch } = this.#deps;
    const sockets = this.#sockets;
    const config: KafkaConfig = {
      brokers: [...brokers],
      clientId,
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      authenticationTimeout: CONNECTION_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      retry: { ...RETRY, retries },
      logLevel: kafkajs.logLevel.WARN,
      logCreator: watch.logCreator,
      socketFactory: sockets.factory,
      ...(ssl === undefined ? {} : { ssl: tlsOptions(ssl) }),
      ...(sasl === undefined ? {} : { sasl: this.#login(sasl) }),
    };
    const attend = (asking: Asking): void => {
      asking.on(asking.events.REQUEST, ({ payload }) => watch.answered(payload.broker));
      asking.on(asking.events.REQUEST_TIMEOUT, ({ payload }) => sockets.break(payload.broker));
    };
    return { kafka: new kafkajs.Kafka(config), attend };
  }

  #login(sasl: SaslConfig): Mechanism {
    const { mechanism, username = '', password } = sasl;
    const login = { username, password: password?.reveal() ?? '' };
    switch (mechanism) {
      case 'PLAIN':
        return loginBy({ mechanism: 'plain', ...login });
      case 'SCRAM-SHA-256':
        return loginBy({ mechanism: 'scram-sha-256', ...login });
      case 'SCRAM-SHA-512':
        return loginBy({ mechanism: 'scram-sha-512', ...login });
      case 'OAUTHBEARER': {
        const token = this.#token;
        invariant(token, 'OAUTHBEARER has its token endpoint');
        const oauthBearerProvider = async () => ({ value: await token.value() });
        return loginBy({ mechanism: 'oauthbearer', oauthBearerProvider });
      }
    }
  }
}

function tlsOptions(ssl: SslConfig): NonNullable<Exclude<KafkaConfig['ssl'], boolean>> {
  const { caFile, certFile, keyFile, keyPassphrase, serverName } = ssl;
  return {
    ...(caFile === undefined ? {} : { ca: [pem(caFile)] }),
    ...(certFile === undefined ? {} : { cert: pem(certFile) }),
    ...(keyFile === undefined ? {} : { key: pem(keyFile) }),
    ...(keyPassphrase === undefined ? {} : { passphrase: keyPassphrase.reveal() }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}

function pem(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const message = `${path} cannot be read; check the mount, or name another file under ssl`;
    throw new MeteringError('METER_CONFIG_INVALID', message, { cause });
  }
}
