/** Settings of a broker that is its own controller, small and quick to start. */
export interface BrokerPorts {
  readonly plain: number;
  readonly sasl: number;
  readonly tls: number;
  readonly controller: number;
  /** More of the first kind, each with the port of a link that leads to it. */
  readonly behind: readonly { readonly port: number; readonly link: number }[];
}

export interface BrokerTls {
  readonly ca: string;
  /** Key and certificate. */
  readonly broker: string;
}

export interface BrokerSettings {
  readonly ports: BrokerPorts;
  readonly dataDirectory: string;
  readonly tls?: BrokerTls | undefined;
  /** With SASL: who may log in by PLAIN. SCRAM users are made when the data directory is. */
  readonly plainUsers?: Readonly<Record<string, string>> | undefined;
}

const SECURITY = 'org.apache.kafka.common.security';

export function serverProperties(settings: BrokerSettings): string {
  const { ports, dataDirectory, tls, plainUsers } = settings;
  const listeners = {
    PLAIN: `127.0.0.1:${ports.plain}`,
    ...(plainUsers === undefined ? {} : { SASL: `127.0.0.1:${ports.sasl}` }),
    ...(tls === undefined ? {} : { TLS: `127.0.0.1:${ports.tls}` }),
    ...Object.fromEntries(ports.behind.map(({ port }, index) => [`LINK${index}`, `127.0.0.1:${port}`])),
  };
  const named = (addresses: Readonly<Record<string, string>>): readonly string[] =>
    Object.entries(addresses).map(([name, address]) => `${name}://${address}`);
  const links = ports.behind.map(({ link }, index) => [`LINK${index}`, `127.0.0.1:${link}`] as const);
  const properties = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${ports.controller}`,
    listeners: [...named(listeners), `CONTROLLER://127.0.0.1:${ports.controller}`].join(','),
    // Clients are told where to go next: by the link again that they came by.
    'advertised.listeners': named({ ...listeners, ...Object.fromEntries(links) }).join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAIN',
    'listener.security.protocol.map': [
      'PLAIN:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,CONTROLLER:PLAINTEXT',
      ...links.map(([name]) => `${name}:PLAINTEXT`),
    ].join(','),
    'log.dirs': dataDirectory,
    // True would hide a topic that is missing.
    'auto.create.topics.enable': 'false',
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    // A broker that was killed may register again only when its former life has ended.
    'broker.heartbeat.interval.ms': '200',
    'broker.session.timeout.ms': '1500',
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': 'User:ANONYMOUS;User:CN=metering',
    ...(plainUsers === undefined ? {} : saslProperties(plainUsers)),
    ...(tls === undefined ? {} : tlsProperties(tls)),
  };
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

function saslProperties(plainUsers: Readonly<Record<string, string>>): Record<string, string> {
  const users = Object.entries(plainUsers).map(([name, password]) => ` user_${name}="${password}"`);
  const login = (mechanism: string): string => `listener.name.sasl.${mechanism}.sasl.jaas.config`;
  return {
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
    [login('plain')]: `${SECURITY}.plain.PlainLoginModule required${users.join('')};`,
    [login('scram-sha-256')]: `${SECURITY}.scram.ScramLoginModule required;`,
    [login('scram-sha-512')]: `${SECURITY}.scram.ScramLoginModule required;`,
    // Tokens are believed without a signature: what is tested is that they are sent.
    [login('oauthbearer')]:
      `${SECURITY}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
  };
}

function tlsProperties({ ca, broker }: BrokerTls): Record<string, string> {
  return {
    'listener.name.tls.ssl.keystore.type': 'PEM',
    'listener.name.tls.ssl.keystore.location': broker,
    'listener.name.tls.ssl.truststore.type': 'PEM',
    'listener.name.tls.ssl.truststore.location': ca,
    'listener.name.tls.ssl.client.auth': 'required',
  };
}
