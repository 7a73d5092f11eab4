/** What a process is told about others that work on its store. */
import { hostname } from 'node:os';
import type { CoordinationConfig } from '../config.ts';

export interface SharedStore extends CoordinationConfig {
  /** Where this process runs, as the others are told. */
  readonly place: string;
}

/** Of a role's settings; undefined where the store is this process's alone. */
export function sharedStoreOf(role: {
  readonly store: { readonly url?: string | undefined };
  readonly coordination: CoordinationConfig;
}): SharedStore | undefined {
  if (role.store.url === undefined) return undefined;
  return { ...role.coordination, place: `${hostname()}/${process.pid}` };
}
