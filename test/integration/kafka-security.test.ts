import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import kafkajs, { type AclEntry } from 'kafkajs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import type { KafkaLog } from '../../core/eventlog/kafka.ts';
import type { ConfigTree } from '../../core/runtime/config.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { makeCertificates, type Certificates } from '../support/kafka/certificates.ts';
import { missingForKafka } from '../support/kafka/jars.ts';
import { kafkaLog, newName } from '../support/kafka/kafka-log.ts';
import { API, Meddler } from '../support/kafka/meddler.ts';

const missing = missingForKafka();
const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs;
const PASSWORDS = { plainly: 'plain-secret', small: 'small-secret', large: 'large-secret' };
const directory = mkdtempSync(join(tmpdir(), 'kafka-security-'));

let broker: KafkaBroker;
let certificates: Certificates;
const logs: KafkaLog[] = [];

function open(address: string, more: ConfigTree): KafkaLog {
  const log = kafkaLog(address, more);
  logs.push(log);
  return log;
}

function login(
  mechanism: string,
  username: keyof typeof PASSWORDS,
  password = PASSWORDS[username],
): ConfigTree {
  return { sasl: { mechanism, username, password } };
}

/** Rights of a principal on what begins with a name; all of them where none are named. */
async function allow(
  user: string,
  resourceType: AclEntry['resourceType'],
  resourceName: string,
  operations: readonly AclEntry['operation'][],
): Promise<void> {
  const admin = new kafkajs.Kafka({ brokers: [broker.address], logLevel: kafkajs.logLevel.NOTHING }).admin();
  await admin.connect();
  const acl = operations.map((operation) => ({
    principal: `User:${user}`,
    host: '*',
    operation,
    permissionType: AclPermissionTypes.ALLOW,
    resourceType,
    resourceName,
    resourcePatternType: ResourcePatternTypes.PREFIXED,
  }));
  await admin.createAcls({ acl });
  await admin.disconnect();
}

/** Append, then read back, then commit: all that this program does with a topic. */
async function roundTrip(log: KafkaLog): Promise<void> {
  const topic = newName();
  await kafkaLogs().ensureTopics([topic]);
  await log.append([{ topic, timestampMs: Date.now(), key: null, value: Buffer.from('through') }]);
  const reader = await log.consumer({ group: newName('group'), topics: [topic] });
  const [record] = await reader.poll({ maxBytes: 1000, waitMs: 20_000 });
  expect(Buffer.from(record?.value ?? []).toString()).toBe('through');
  await reader.commit([{ topic, partition: record!.partition, next: 1n }]);
}

/** As whoever runs the brokers. */
function kafkaLogs(): KafkaLog {
  return open(broker.address, {});
}

describe.skipIf(missing !== undefined)(`on a broker${missing === undefined ? '' : `: ${missing}`}`, () => {
  beforeAll(async () => {
    certificates = makeCertificates(directory);
    const { plainly, small, large } = PASSWORDS;
    const scram = [
      `SCRAM-SHA-256=[name=small,password=${small}]`,
      `SCRAM-SHA-512=[name=large,password=${large}]`,
    ];
    broker = await KafkaBroker.start({ users: { plain: { plainly }, scram }, tls: certificates });
    const everything = [AclOperationTypes.ALL];
    for (const user of ['plainly', 'small', 'large', 'metering']) {
      await allow(user, AclResourceTypes.TOPIC, 'usage.', everything);
      await allow(user, AclResourceTypes.GROUP, 'group.', everything);
    }
  });
  afterAll(async () => {
    await broker.stop();
    rmSync(directory, { recursive: true });
  });
  afterEach(async () => {
    await Promise.all(logs.splice(0).map((log) => log.close()));
  });

  describe('SASL', () => {
    test.each([
      ['PLAIN', 'plainly'],
      ['SCRAM-SHA-256', 'small'],
      ['SCRAM-SHA-512', 'large'],
    ] as const)('%s lets a user through', async (mechanism, user) => {
      await roundTrip(open(broker.saslAddress, login(mechanism, user)));
    });

    test.each([
      [
        'PLAIN',
        'plainly',
        'SASL PLAIN authentication failed: Authentication failed: Invalid username or password',
      ],
      [
        'SCRAM-SHA-512',
        'large',
        'SASL SCRAM SHA512 authentication failed: Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512',
      ],
    ] as const)('a wrong password (%s) is said at once, and never shown', async (mechanism, user, reason) => {
      const log = open(broker.saslAddress, login(mechanism, user, 'wrong-secret'));
      const refused = log.consumer({ group: newName('group'), topics: ['usage.any'] });
      await expect(refused).rejects.toMatchObject({
        code: 'METER_LOG_UNAVAILABLE',
        retryable: false,
        message:
          `Kafka: describe usage.any as User:${user}: ${reason}; ` +
          'check the mechanism, name and password of the settings under sasl',
      });
    });

    test('a login at a port that expects none is named', async () => {
      const log = open(broker.address, login('PLAIN', 'plainly'));
      await expect(log.checkTopics(['usage.any'])).rejects.toMatchObject({
        code: 'METER_LOG_UNAVAILABLE',
        retryable: false,
        message:
          'Kafka: describe usage.any as User:plainly: Request is not valid given the current SASL state; ' +
          'no login is expected at this port; check brokers and sasl',
      });
    });
  });

  describe('a login that fails', () => {
    /** The broker's own answer to wrong credentials: code 58, a text, no bytes, no lifetime. */
    const wrong = Buffer.concat([
      Buffer.from([0, 58, 0, 5]),
      Buffer.from('wrong'),
      Buffer.alloc(4),
      Buffer.alloc(8),
    ]);
    let meddler: Meddler;

    beforeAll(async () => {
      meddler = await Meddler.start();
      meddler.leadTo(Number(broker.saslAddress.split(':')[1]));
    });
    afterEach(() => (meddler.meddling = () => undefined));
    afterAll(() => meddler.close());

    function meddleWithLogin(answer: Buffer | 'break'): void {
      meddler.meddling = ({ api }) => (api === API.saslAuthenticate ? answer : undefined);
    }

    test.each([
      ['PLAIN', 'plainly'],
      ['SCRAM-SHA-512', 'large'],
    ] as const)('for a lost connection (%s) is to be tried again', async (mechanism, user) => {
      const log = open(meddler.address, login(mechanism, user));
      meddleWithLogin('break');
      await expect(log.checkTopics(['usage.any'])).rejects.toMatchObject({
        code: 'METER_LOG_UNAVAILABLE',
        retryable: true,
        message: expect.stringContaining('it is tried again') as string,
      });
    });

    test('refuses appends until it is mended, and no longer', async () => {
      const topic = newName();
      await kafkaLogs().ensureTopics([topic]);
      const log = open(meddler.address, login('PLAIN', 'plainly'));
      // Asks over a connection of its own, which stays.
      await log.endPositions([topic]);
      const append = (): Promise<void> =>
        log.append([{ topic, timestampMs: Date.now(), key: null, value: Buffer.from('x') }]);
      meddleWithLogin(wrong);
      const refused = {
        code: 'METER_LOG_UNAVAILABLE',
        retryable: false,
        message: expect.stringContaining('check the mechanism, name and password') as string,
      };
      await expect(append()).rejects.toMatchObject(refused);
      await expect(append()).rejects.toMatchObject(refused);
      meddler.meddling = () => undefined;
      await append();
      const ends = await log.endPositions([topic]);
      expect(ends.reduce((sum, { next }) => sum + next, 0n)).toBe(1n);
    });
  });

  describe('tokens of a service account', () => {
    let server: Server;
    let tokenUrl: string;
    const forms: string[] = [];
    /** As Kafka takes it where nobody is to check a signature. */
    const unsigned = (claims: object): string =>
      [{ alg: 'none' }, claims]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.') + '.';

    beforeAll(async () => {
      server = createServer((request, response) => {
        let form = '';
        request.on('data', (chunk: Buffer) => (form += chunk.toString()));
        request.on('end', () => {
          forms.push(form);
          const now = Math.floor(Date.now() / 1000);
          const isKnown = new URLSearchParams(form).get('client_secret') === 'token-secret';
          const token = unsigned({ sub: 'metering', iat: now, exp: now + 300 });
          response.writeHead(isKnown ? 200 : 401, { 'content-type': 'application/json' });
          response.end(JSON.stringify(isKnown ? { access_token: token, expires_in: 300 } : { error: 'no' }));
        });
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      tokenUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
    });
    afterAll(() => server.close());

    function sasl(clientSecret: string): ConfigTree {
      return { sasl: { mechanism: 'OAUTHBEARER', tokenUrl, clientId: 'metering', clientSecret } };
    }

    test('let it through, one token for all connections', async () => {
      forms.length = 0;
      await roundTrip(open(broker.saslAddress, sasl('token-secret')));
      expect(forms).toEqual(['grant_type=client_credentials&client_id=metering&client_secret=token-secret']);
    });

    test('that are refused are said at once', async () => {
      const log = open(broker.saslAddress, sasl('wrong'));
      await expect(log.checkTopics(['usage.any'])).rejects.toMatchObject({
        code: 'METER_LOG_UNAVAILABLE',
        retryable: false,
        message:
          `the token endpoint ${tokenUrl} gives no token (status 401); ` +
          'check tokenUrl, clientId and clientSecret of the settings under sasl',
      });
    });
  });

  describe('rights', () => {
    const secret = login('PLAIN', 'plainly');

    test('to append that are missing are named, with who lacks them', async () => {
      const log = open(broker.saslAddress, secret);
      const topic = newName('foreign');
      await kafkaLogs().ensureTopics([topic]);
      const append = log.append([{ topic, timestampMs: Date.now(), key: null, value: Buffer.from('x') }]);
      await expect(append).rejects.toMatchObject({
        code: 'METER_LOG_UNAVAILABLE',
        retryable: false,
        message:
          `Kafka: describe ${topic} as User:plainly: Not authorized to access topics: ` +
          '[Topic authorization failed]; it may not do that with the topic; docs/kafka.md lists the rights it needs',
      });
    });

    test('to read the group that are missing are named', async () => {
      const log = open(broker.saslAddress, secret);
      const topic = newName();
      await kafkaLogs().ensureTopics([topic]);
      const refused = log.consumer({ group: 'foreign', topics: [topic] });
      await expect(refused).rejects.toMatchObject({
        code: 'METER_LOG_UNAVAILABLE',
        retryable: false,
        message:
          `Kafka: consume ${topic} in group foreign as User:plainly: Failed to find group coordinator; ` +
          'it may not Read the group; docs/kafka.md lists the rights it needs',
      });
    });

    test('that docs/kafka.md lists are enough, for a reader and for an appender', async () => {
      const topic = newName('least');
      await kafkaLogs().ensureTopics([topic]);
      const { DESCRIBE, DESCRIBE_CONFIGS, READ, WRITE } = AclOperationTypes;
      await allow('small', AclResourceTypes.TOPIC, topic, [DESCRIBE, WRITE]);
      await allow('large', AclResourceTypes.TOPIC, topic, [DESCRIBE, DESCRIBE_CONFIGS, READ]);
      await allow('large', AclResourceTypes.GROUP, topic, [READ]);
      const appender = open(broker.saslAddress, login('SCRAM-SHA-256', 'small'));
      await appender.append([{ topic, timestampMs: Date.now(), key: null, value: Buffer.from('x') }]);
      const log = open(broker.saslAddress, login('SCRAM-SHA-512', 'large'));
      const reader = await log.consumer({ group: topic, topics: [topic] });
      const [record] = await reader.poll({ maxBytes: 1000, waitMs: 20_000 });
      await reader.commit([{ topic, partition: record!.partition, next: 1n }]);
    });
  });

  describe('TLS', () => {
    test('brokers and client know each other by their certificates', async () => {
      const { ca: caFile, clientCertificate: certFile, clientKey: keyFile } = certificates;
      await roundTrip(open(broker.tlsAddress, { ssl: { caFile, certFile, keyFile } }));
    });

    test('a broker of an unknown authority is refused', async () => {
      const log = open(broker.tlsAddress, { ssl: {} });
      await expect(log.checkTopics(['usage.any'])).rejects.toMatchObject({
        code: 'METER_LOG_UNAVAILABLE',
        retryable: false,
        message:
          'Kafka: describe usage.any: TLS failed (UNABLE_TO_VERIFY_LEAF_SIGNATURE); ' +
          'check the certificates of the settings under ssl',
      });
    });

    test('a broker that asks for a certificate refuses a client without one', async () => {
      const log = open(broker.tlsAddress, { ssl: { caFile: certificates.ca } });
      await expect(log.checkTopics(['usage.any'])).rejects.toMatchObject({
        code: 'METER_LOG_UNAVAILABLE',
        retryable: false,
        message: expect.stringMatching(/: TLS failed \(ERR_SSL_.+\); check the certificates/) as string,
      });
    });

    test('a certificate file that is not there is named', async () => {
      const log = open(broker.tlsAddress, { ssl: { caFile: '/nowhere/ca.pem' } });
      await expect(log.checkTopics(['usage.any'])).rejects.toMatchObject({
        code: 'METER_CONFIG_INVALID',
        message: '/nowhere/ca.pem cannot be read; check the mount, or name another file under ssl',
      });
    });
  });

  describe('topics', () => {
    test('a missing one is refused with the command that makes it', async () => {
      const log = kafkaLogs();
      await expect(log.consumer({ group: newName('group'), topics: ['usage.absent'] })).rejects.toMatchObject(
        {
          code: 'METER_CONFIG_INVALID',
          message:
            'the topics of Kafka: 1 problem\n' +
            '  - usage.absent: is missing; run\n' +
            `    kafka-topics.sh --bootstrap-server ${broker.address} --create --topic usage.absent ` +
            '--partitions 3 --replication-factor 1 --config cleanup.policy=delete ' +
            '--config max.message.bytes=5242880 --config min.insync.replicas=1 ' +
            '--config retention.bytes=-1 --config retention.ms=604800000',
        },
      );
      const append = log.append([
        { topic: 'usage.absent', timestampMs: Date.now(), key: null, value: Buffer.from('x') },
      ]);
      await expect(append).rejects.toMatchObject({
        code: 'METER_CONFIG_INVALID',
        message: expect.stringMatching(
          /^the topic usage.absent is missing; run\n {4}kafka-topics.sh/,
        ) as string,
      });
    });

    test('one that would lose records is refused with everything that is wrong and what to run', async () => {
      const topic = newName();
      await kafkaLogs().ensureTopics([topic]);
      const topics = { partitions: 4, replicationFactor: 2, minInsyncReplicas: 2, retentionMs: 700_000_000 };
      await expect(open(broker.address, { topics }).checkTopics([topic])).rejects.toMatchObject({
        code: 'METER_CONFIG_INVALID',
        message:
          'the topics of Kafka: 3 problems\n' +
          `  - ${topic}: has 3 partitions, not 4 or more; run\n` +
          `    kafka-topics.sh --bootstrap-server ${broker.address} --alter --topic ${topic} --partitions 4\n` +
          `  - ${topic}: has 1 copies of a partition, not 2 or more; run\n` +
          `    kafka-reassign-partitions.sh --bootstrap-server ${broker.address} ` +
          `--reassignment-json-file ${topic}.json --execute\n` +
          `  - ${topic}: min.insync.replicas is 1, not 2 or more, retention.ms is 604800000, ` +
          'not 700000000 or more; run\n' +
          `    kafka-configs.sh --bootstrap-server ${broker.address} --alter --topic ${topic} ` +
          '--add-config min.insync.replicas=2,retention.ms=700000000',
      });
    });

    test('a record beyond the limit of its topic is refused as unreadable, and harms no other', async () => {
      const topic = newName();
      const log = open(broker.address, { compression: 'none' });
      await log.ensureTopics([topic]);
      const append = (bytes: number): Promise<void> =>
        log.append([{ topic, timestampMs: Date.now(), key: null, value: Buffer.alloc(bytes, 'x') }]);
      await expect(append(6_000_000)).rejects.toMatchObject({
        code: 'METER_INPUT_UNREADABLE',
        message: expect.stringMatching(
          /raise max.message.bytes of the topic, or split the record$/,
        ) as string,
      });
      await append(4_000_000);
    });
  });
});
