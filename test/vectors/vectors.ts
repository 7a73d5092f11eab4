/**
 * The golden cases: samples -> usage. Every case is written in the notation of `notation.ts` and expands into
 * the records a collector would have sent. `expected` holds every row with a quantity other than 0.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { ModelRecord, ModelSettings } from '../model/record.ts';
import { parseVectors, type ExpectedDetail, type ExpectedRow } from './notation.ts';

export interface VectorCase {
  readonly name: string;
  readonly why: string;
  /** Sections of METERING.md. */
  readonly rules: string;
  readonly settings: ModelSettings;
  /** Evidence a reader of the rules would count besides; not complete. */
  readonly counts: Readonly<Record<string, number>>;
  readonly records: readonly ModelRecord[];
  readonly expected: readonly ExpectedRow[];
  readonly details: readonly ExpectedDetail[];
}

/** The settings of a case that names none. */
export const VECTOR_SETTINGS: ModelSettings = {
  tenantLabel: 'label_gh0stcloud_io_tenant',
  platformNamespaces: ['kube-system'],
  maxHoldMs: 300_000,
  latenessMs: 172_800_000,
  maxCores: 256,
  maxLinkBytesPerSecond: 12_500_000_000,
  networkInterface: 'eth0',
};

export function loadVectors(): VectorCase[] {
  const folder = new URL('.', import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith('.vectors'));
  return files.sort().flatMap((name) =>
    parseVectors(readFileSync(new URL(name, folder), 'utf8')).map(({ settings, ...rest }) => ({
      ...rest,
      settings: { ...VECTOR_SETTINGS, ...settings },
    })),
  );
}
