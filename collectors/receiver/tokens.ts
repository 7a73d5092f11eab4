/**
 * Who is sending: the token decides the cluster. Tokens are held as digests and compared in constant time,
 * every one of them for every request, so that the time of an answer tells nothing of them.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { ClusterConfig } from './config.ts';

/** RFC 6750; the scheme's name has no case. */
const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*) *$/i;

export class Tokens {
  readonly #known: readonly { readonly digest: Buffer; readonly cluster: ClusterConfig }[];

  constructor(clusters: readonly ClusterConfig[]) {
    this.#known = clusters.flatMap((cluster) =>
      cluster.tokens.map((token) => ({ digest: digestOf(token.reveal()), cluster })),
    );
  }

  /** Undefined: no token, or none that is known. */
  clusterOf(authorization: string | undefined): ClusterConfig | undefined {
    const digest = digestOf(BEARER.exec(authorization ?? '')?.[1] ?? '');
    let found: ClusterConfig | undefined;
    for (const known of this.#known) {
      if (timingSafeEqual(digest, known.digest)) found = known.cluster;
    }
    return found;
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
