import type { Facts } from './facts.ts';
import type { Notes } from './notes.ts';
import type { ModelSettings } from './record.ts';

/** What every rule is judged by, and where it notes what it met. */
export interface Given {
  readonly facts: Facts;
  readonly settings: ModelSettings;
  readonly notes: Notes;
}
