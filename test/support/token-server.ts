/**
 * A token server that is not ours (oidc-provider) on the loopback address, whose tokens are made to look as
 * Keycloak's do: type and client in claims of their own, organizations in any shape. Service accounts get
 * theirs over HTTP by client credentials; users' are issued by the same library without its login pages.
 * What no proper server issues is signed by hand with the same keys. In front of it stands a door that can be
 * shut, so that an issuer can be seen failing.
 */
import { KeyObject, sign } from 'node:crypto';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type CryptoKey, type JWK } from 'jose';
import { Provider, type Adapter, type Configuration, type ResourceServer } from 'oidc-provider';

export const AUDIENCE = 'metering-api';
const RESOURCE = `urn:${AUDIENCE}`;
export const READ_ALL = 'metering:read:all';
const CLIENT = { client_id: 'gh0stplane', client_secret: 'a secret of the tests' };
export type SigningAlgorithm = 'RS256' | 'PS256' | 'ES256' | 'EdDSA';

/** How the issuer answers: as it should, or one of the ways in which it may not. */
export type Door =
  | 'open'
  | 'closed'
  | 'error'
  | 'silent'
  | 'redirect'
  | 'endless'
  | 'other-issuer'
  | 'keys-elsewhere'
  | 'no-json'
  | 'no-keys'
  | 'no-set';

interface SigningKey {
  readonly id: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
  readonly privateJwk: JWK;
}

export interface UserToken {
  readonly claims: Readonly<Record<string, unknown>>;
  readonly algorithm?: SigningAlgorithm;
  /** `at+jwt` as RFC 9068 has it; Keycloak's `JWT` otherwise. */
  readonly isByRfc9068?: boolean;
}

/** What the claim says of an organization: the roles that a member has there in this API. */
export function membership(...roles: readonly string[]) {
  return { resource_access: { [AUDIENCE]: { roles } } };
}

export class TokenServer {
  door: Door = 'open';
  /** Published beside the keys. */
  extraKeys: readonly unknown[] = [];
  keyRequests = 0;
  discoveries = 0;
  /** Requests to where redirects point. */
  strayed = 0;
  readonly #server: http.Server;
  #keys = new Map<SigningAlgorithm, SigningKey>();
  #generation = 0;
  #provider: Provider | undefined;
  #handler: http.RequestListener = () => undefined;
  /** What is to be in tokens that are being issued. */
  readonly #asked = new WeakMap<object, UserToken>();

  private constructor() {
    this.#server = http.createServer((request, response) => {
      this.#answer(request, response);
    });
  }

  static async start(): Promise<TokenServer> {
    const server = new TokenServer();
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    await server.rotate();
    return server;
  }

  get issuer(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get jwksUri(): string {
    return `${this.issuer}/jwks`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** New keys under new ids; what was signed before is no longer good. */
  async rotate(): Promise<void> {
    this.#generation += 1;
    const algorithms: readonly SigningAlgorithm[] = ['RS256', 'PS256', 'ES256', 'EdDSA'];
    this.#keys = new Map(
      await Promise.all(
        algorithms.map(async (algorithm) => [algorithm, await key(algorithm, this.#generation)] as const),
      ),
    );
    this.#provider = new Provider(this.issuer, this.#configuration());
    const handle = this.#provider.callback();
    this.#handler = (request, response) => {
      handle(request, response).catch(() => response.destroy());
    };
  }

  key(algorithm: SigningAlgorithm): SigningKey {
    const key = this.#keys.get(algorithm);
    if (key === undefined) throw new Error(`no key for ${algorithm}`);
    return key;
  }

  /** By client credentials, over HTTP, as a service account gets it. */
  async serviceToken(scope = READ_ALL): Promise<string> {
    const response = await fetch(`${this.issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'client_credentials', scope, resource: RESOURCE, ...CLIENT }),
    });
    const body = (await response.json()) as { access_token?: string };
    if (body.access_token === undefined) throw new Error(`no token: ${JSON.stringify(body)}`);
    return body.access_token;
  }

  /** For a member of organizations, with the same roles in each. */
  async memberToken(organizations: readonly string[], ...roles: readonly string[]): Promise<string> {
    const organization = Object.fromEntries(organizations.map((alias) => [alias, membership(...roles)]));
    return await this.userToken({ claims: { organization } });
  }

  /** For somebody who is logged in at a portal. */
  async userToken(token: UserToken): Promise<string> {
    const provider = this.#provider!;
    const client = await provider.Client.find(CLIENT.client_id);
    const issued = new provider.AccessToken({
      ...{ accountId: 'alice', grantId: 'a login', gty: 'authorization_code', scope: 'openid organization' },
      client: client!,
      resourceServer: new provider.ResourceServer(RESOURCE, resource(token.algorithm)),
    });
    this.#asked.set(issued, token);
    return issued.save();
  }

  /** Whatever is asked, signed with the issuer's own key: what no proper server would issue. */
  forge(claims: Readonly<Record<string, unknown>>, header: Readonly<Record<string, unknown>> = {}): string {
    const { id, privateKey } = this.key('RS256');
    const text = signedText(
      { alg: 'RS256', typ: 'JWT', kid: id, ...header },
      { ...this.properClaims(), ...claims },
    );
    return `${text}.${sign('sha256', Buffer.from(text), KeyObject.from(privateKey)).toString('base64url')}`;
  }

  properClaims(): Record<string, unknown> {
    const iat = Math.floor(Date.now() / 1000);
    const claims = { iss: this.issuer, aud: AUDIENCE, sub: 'mallory', typ: 'Bearer', iat, exp: iat + 300 };
    return { ...claims, azp: 'portal', organization: ['acme'] };
  }

  #configuration(): Configuration {
    return {
      adapter: () => FORGETFUL,
      clients: [{ ...CLIENT, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }],
      jwks: { keys: [...this.#keys.values()].map(({ privateJwk }) => privateJwk) },
      cookies: { keys: ['of the tests'] },
      scopes: ['openid', 'organization', READ_ALL],
      ttl: { AccessToken: 300, ClientCredentials: 300 },
      enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
      extraTokenClaims: (_, token) => {
        const asked = this.#asked.get(token);
        return asked === undefined ? { azp: CLIENT.client_id } : { azp: 'portal', ...asked.claims };
      },
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: { enabled: true, getResourceServerInfo: () => resource() },
      },
      formats: {
        customizers: {
          jwt: (_, token, parts) => {
            if (this.#asked.get(token)?.isByRfc9068 === true) return;
            // Keycloak's own form: the header says JWT, a claim says what kind of token it is.
            parts.header = { ...parts.header, typ: 'JWT' };
            parts.payload['typ'] = 'Bearer';
          },
        },
      },
    };
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const path = request.url ?? '';
    if (path === '/elsewhere') this.strayed += 1;
    const isKeys = path === '/jwks';
    const isDiscovery = path === '/.well-known/openid-configuration';
    if (isKeys) this.keyRequests += 1;
    if (isDiscovery) this.discoveries += 1;
    if (!isKeys && !isDiscovery) this.#handler(request, response);
    else if (this.door !== 'open') this.#misbehave(request, response, isKeys);
    else if (isKeys && this.extraKeys.length > 0) json(response, { keys: this.#published() });
    else this.#handler(request, response);
  }

  #published(): readonly unknown[] {
    return [...this.extraKeys, ...[...this.#keys.values()].map(({ publicJwk }) => publicJwk)];
  }

  #misbehave(request: http.IncomingMessage, response: http.ServerResponse, isKeys: boolean): void {
    const configuration = { issuer: this.issuer, jwks_uri: this.jwksUri };
    switch (this.door) {
      case 'closed':
        request.socket.destroy();
        return;
      case 'error':
        response.writeHead(500).end();
        return;
      case 'redirect':
        response.writeHead(302, { location: `${this.issuer}/elsewhere` }).end();
        return;
      case 'other-issuer':
        json(
          response,
          isKeys ? { keys: this.#published() } : { ...configuration, issuer: `${this.issuer}/` },
        );
        return;
      case 'keys-elsewhere':
        json(response, { ...configuration, jwks_uri: 'http://keys.example/jwks' });
        return;
      case 'no-set':
        json(response, isKeys ? [] : configuration);
        return;
      case 'no-json':
        response.end('<html>maintenance</html>');
        return;
      case 'no-keys':
        json(response, isKeys ? { keys: [] } : configuration);
        return;
      case 'endless':
        response.writeHead(200, { 'content-type': 'application/json' });
        response.write(`{"issuer":"${'x'.repeat(300_000)}`);
        return;
      case 'silent':
      case 'open':
        // No answer until the connection is closed.
        return;
    }
  }
}

const made = new Map<string, Promise<SigningKey>>();

/** Made once for all servers of a test file: RSA keys take their time. */
function key(algorithm: SigningAlgorithm, generation: number): Promise<SigningKey> {
  const id = `${algorithm.toLowerCase()}-${generation}`;
  const known = made.get(id) ?? makeKey(algorithm, id);
  made.set(id, known);
  return known;
}

async function makeKey(algorithm: SigningAlgorithm, id: string): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
  const named = { kid: id, alg: algorithm, use: 'sig' };
  return {
    id,
    privateKey,
    publicJwk: { ...(await exportJWK(publicKey)), ...named },
    privateJwk: { ...(await exportJWK(privateKey)), ...named },
  };
}

function resource(alg: SigningAlgorithm = 'RS256'): ResourceServer {
  return {
    scope: `organization ${READ_ALL}`,
    audience: AUDIENCE,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg } },
  };
}

/** The first two parts of a token. */
export function signedText(header: object, claims: object): string {
  return [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
}

/** Tokens that hold all there is to know need no memory of the server's. */
const FORGETFUL: Adapter = {
  upsert: async () => undefined,
  find: async () => undefined,
  findByUserCode: async () => undefined,
  findByUid: async () => undefined,
  consume: async () => undefined,
  destroy: async () => undefined,
  revokeByGrantId: async () => undefined,
};

function json(response: http.ServerResponse, body: unknown): void {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(body));
}
