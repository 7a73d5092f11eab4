/**
 * What operators declare in a file under version control (DESIGN 8): nothing here is changed by a call. Read
 * again whenever it is needed, so that a new version counts without a restart; a broken one is refused whole
 * and says why.
 */
import { statSync } from 'node:fs';
import { z } from 'zod';
import { loadConfig, readConfigFile } from '../../core/runtime/config.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { quotasSchema } from './quota.ts';

const period = z.string().regex(/^2\d{3}-(0[1-9]|1[0-2])$/, 'must be a month, such as 2026-10');
const sentence = z.string().min(1).max(1_000);

export const declaredSchema = z.strictObject({
  /** A period may close although this cluster was silent; its statements say so. */
  waivers: z
    .array(z.strictObject({ period, cluster: z.string().min(1), reason: sentence, approvedBy: sentence }))
    .default([]),
  /** Raw data of a tenant that has to go; what was billed stays. */
  erasures: z
    .array(
      z.strictObject({
        tenant: z.string().min(1),
        /** Everything before the end of this period, which has to be closed. */
        through: period,
        reason: sentence,
      }),
    )
    .default([]),
  /** What tenants may use; shown by the API. */
  quotas: quotasSchema.default([]),
});

export type Declared = Readonly<z.output<typeof declaredSchema>>;

export const NOTHING_DECLARED: Declared = { waivers: [], erasures: [], quotas: [] };

/** Gives the file's newest version that was valid; one that is not is told and changes nothing. */
export class DeclaredFile {
  readonly #file: string | undefined;
  readonly #facts: FactSink;
  #last: Declared = NOTHING_DECLARED;
  /** Which version of the file was read last. */
  #stamp = '';
  #refused = '';

  constructor(file: string | undefined, deps: { readonly facts: FactSink }) {
    this.#file = file;
    this.#facts = deps.facts;
  }

  /** At the start a broken file is refused. */
  load(): void {
    if (this.#file !== undefined) this.#last = readDeclared(this.#file);
  }

  read(): Declared {
    const file = this.#file;
    if (file === undefined) return this.#last;
    try {
      const stamp = stampOf(file);
      if (stamp === this.#stamp) return this.#last;
      this.#last = readDeclared(file);
      this.#stamp = stamp;
      this.#refused = '';
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (why !== this.#refused) this.#facts.event('settingsRefused', { file, error });
      this.#refused = why;
    }
    return this.#last;
  }
}

/** Of a mounted file that is replaced as a whole, the one that the name leads to now. */
function stampOf(file: string): string {
  const { ino, size, mtimeNs } = statSync(file, { bigint: true });
  return [ino, size, mtimeNs].join();
}

export function readDeclared(file: string): Declared {
  return loadConfig(declaredSchema, { name: file, values: readConfigFile(file) });
}
