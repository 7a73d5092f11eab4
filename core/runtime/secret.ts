import { inspect } from 'node:util';

import { z } from 'zod';

const SHOWN = '[secret]';

/** A value that can be used but not shown: every way to print it gives `[secret]`. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself, for the one call that needs it. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return SHOWN;
  }

  toJSON(): string {
    return SHOWN;
  }

  [inspect.custom](): string {
    return SHOWN;
  }
}

/** A setting that holds a secret. */
export const secretSchema = z
  .string()
  .min(1, 'must not be empty')
  .transform((value) => new Secret(value));
