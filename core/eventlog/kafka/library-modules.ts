/**
 * Modules of the client library, which has no other way in for an encoding or a decoding of our own. Its
 * version is pinned, and who puts something in a module's place checks that it is what it was written for.
 */
import { createRequire } from 'node:module';

import { invariant } from '../../runtime/errors.ts';

const require = createRequire(import.meta.url);
const PROTOCOL = 'kafkajs/src/protocol';

/** What a module of the library's protocol exports. */
export function libraryModule(name: string): unknown {
  return require(`${PROTOCOL}/${name}`);
}

/** `users` take what they need as they are loaded: one that was loaded before is loaded again. */
export function replaceModule(name: string, exported: unknown, users: readonly string[]): void {
  const module = require.cache[require.resolve(`${PROTOCOL}/${name}`)];
  invariant(module !== undefined, `the client library's ${name} was loaded before it is replaced`);
  module.exports = exported;
  for (const user of users) Reflect.deleteProperty(require.cache, require.resolve(`${PROTOCOL}/${user}`));
}
