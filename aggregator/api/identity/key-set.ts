/**
 * The usable ones of an issuer's keys. Input: what its key set holds, which may be anything. Output: public
 * keys by id and algorithm. A key counts only for what it says it is for, and for algorithms that are
 * allowed; a secret, a private key, one that is too short or not well-formed is passed over.
 */
import { importJWK, type CryptoKey, type JWK } from 'jose';

import { ALGORITHMS, type Algorithm } from './config.ts';
import { member, texts } from './organizations.ts';

const MIN_RSA_BITS = 2048;

export interface KeySet {
  readonly size: number;
  /** Members that are no key for us. */
  readonly ignored: number;
  get(id: string, algorithm: string): CryptoKey | undefined;
}

export async function keySetOf(members: readonly unknown[], allowed: readonly Algorithm[]): Promise<KeySet> {
  const keys = new Map<string, CryptoKey>();
  const used = new Set<unknown>();
  for (const candidate of members) {
    for (const algorithm of allowed) {
      const read = await readKey(candidate, algorithm);
      // The first of two keys with one id stays: a set that says it twice does not say which is meant.
      if (read === undefined || keys.has(place(read.id, algorithm))) continue;
      keys.set(place(read.id, algorithm), read.key);
      used.add(candidate);
    }
  }
  return {
    size: used.size,
    ignored: members.length - used.size,
    get: (id, algorithm) => keys.get(place(id, algorithm)),
  };
}

/** No algorithm has a space in its name, so this is unambiguous whatever an id holds. */
function place(id: string, algorithm: string): string {
  return `${algorithm} ${id}`;
}

async function readKey(
  candidate: unknown,
  algorithm: Algorithm,
): Promise<{ readonly id: string; readonly key: CryptoKey } | undefined> {
  const id = member(candidate, 'kid');
  const material = publicMaterial(candidate, algorithm);
  if (typeof id !== 'string' || id === '' || material === undefined || !isFor(candidate, algorithm)) {
    return undefined;
  }
  try {
    const key = await importJWK(material, algorithm);
    return key instanceof Uint8Array || isShort(key) ? undefined : { id, key };
  } catch {
    return undefined;
  }
}

/** Only the members that make up the public key: what else a set says of it is judged, not imported. */
function publicMaterial(candidate: unknown, algorithm: Algorithm): JWK | undefined {
  const text = (name: string): string | undefined => {
    const value = member(candidate, name);
    return typeof value === 'string' ? value : undefined;
  };
  // Whoever publishes a private key has lost it; so is a secret in a public place no secret.
  if (member(candidate, 'd') !== undefined || member(candidate, 'k') !== undefined) return undefined;
  const [n, e, x, y] = ['n', 'e', 'x', 'y'].map(text);
  switch (`${text('kty') ?? ''} ${text('crv') ?? ''} ${algorithm}`) {
    case 'RSA  RS256':
    case 'RSA  PS256':
      return n === undefined || e === undefined ? undefined : { kty: 'RSA', n, e };
    case 'EC P-256 ES256':
      return x === undefined || y === undefined ? undefined : { kty: 'EC', crv: 'P-256', x, y };
    case 'OKP Ed25519 EdDSA':
      return x === undefined ? undefined : { kty: 'OKP', crv: 'Ed25519', x };
    default:
      return undefined;
  }
}

function isFor(candidate: unknown, algorithm: Algorithm): boolean {
  const use = member(candidate, 'use');
  const operations = member(candidate, 'key_ops');
  const named = member(candidate, 'alg');
  return (
    (use === undefined || use === 'sig') &&
    (operations === undefined || texts(operations).includes('verify')) &&
    (named === undefined || named === algorithm || !ALGORITHMS.some((known) => known === named))
  );
}

function isShort({ algorithm }: CryptoKey): boolean {
  return 'modulusLength' in algorithm && Number(algorithm.modulusLength) < MIN_RSA_BITS;
}
