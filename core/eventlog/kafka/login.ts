import { createRequire } from 'node:module';

import kafkajs, { type AuthenticationProviderArgs, type Mechanism, type SASLOptions } from 'kafkajs';

import { invariant } from '../../runtime/errors.ts';

const { KafkaJSConnectionError, KafkaJSRequestTimeoutError } = kafkajs;

/** The library's own side of each exchange. */
const EXCHANGES = {
  plain: 'plain',
  'scram-sha-256': 'scram256',
  'scram-sha-512': 'scram512',
  oauthbearer: 'oauthBearer',
} as const;

type Exchange = Mechanism['authenticationProvider'];
type Options = Extract<SASLOptions, { readonly mechanism: keyof typeof EXCHANGES }>;

/**
 * A login as the library makes it, but for what it says of one that fails: whatever goes wrong on the way it
 * calls a refusal, also a connection that is lost. A refusal is what the broker answered, and is final; what
 * was lost is to be tried again.
 */
export function loginBy(options: Options): Mechanism {
  const path = `kafkajs/src/broker/saslAuthenticator/${EXCHANGES[options.mechanism]}`;
  const exchangeBy = createRequire(import.meta.url)(path) as (options: Options) => Exchange;
  const exchange = exchangeBy(options);
  invariant(typeof exchange === 'function', 'the client library has logins of the pinned version');
  return {
    mechanism: options.mechanism,
    authenticationProvider: (args) => ({ authenticate: async () => await logIn(exchange, args) }),
  };
}

async function logIn(exchange: Exchange, args: AuthenticationProviderArgs): Promise<void> {
  let lost: unknown;
  const saslAuthenticate: AuthenticationProviderArgs['saslAuthenticate'] = async (step) => {
    try {
      return await args.saslAuthenticate(step);
    } catch (error) {
      if (isLoss(error)) lost = error;
      throw error;
    }
  };
  try {
    await exchange({ ...args, saslAuthenticate }).authenticate();
  } catch (error) {
    throw lost ?? error;
  }
}

function isLoss(error: unknown): boolean {
  return error instanceof KafkaJSConnectionError || error instanceof KafkaJSRequestTimeoutError;
}
