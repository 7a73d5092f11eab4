import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DeclaredFile, NOTHING_DECLARED } from '../../../../aggregator/ledger/declared.ts';
import type { FactSink } from '../../../../core/runtime/facts.ts';

let directory: string;
let file: string;
let told: string[];
const facts: FactSink = { event: (name) => told.push(name) };
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'metering-declared-'));
  file = join(directory, 'declared.json');
  told = [];
});
afterEach(() => rm(directory, { recursive: true }));

const waiver = { period: '2026-10', cluster: 'dev', reason: 'gone', approvedBy: 'ops' };

describe('what operators declare', () => {
  test('is nothing without a file', () => {
    const declared = new DeclaredFile(undefined, { facts });
    declared.load();
    expect(declared.read()).toEqual(NOTHING_DECLARED);
  });

  test('is read again whenever it is asked for', async () => {
    await writeFile(file, '{}');
    const declared = new DeclaredFile(file, { facts });
    declared.load();
    expect(declared.read().waivers).toEqual([]);
    await writeFile(file, JSON.stringify({ waivers: [waiver] }));
    expect(declared.read().waivers).toEqual([waiver]);
  });

  test('stays what it was while the file is broken, and that is told once', async () => {
    await writeFile(file, JSON.stringify({ waivers: [waiver] }));
    const declared = new DeclaredFile(file, { facts });
    declared.load();
    await writeFile(file, '{"waivers": [');
    expect(declared.read().waivers).toEqual([waiver]);
    expect(declared.read().waivers).toEqual([waiver]);
    expect(told).toEqual(['settingsRefused']);
    await writeFile(file, '{}');
    expect(declared.read().waivers).toEqual([]);
  });

  test('of quotas counts from when the file has it, and one that is broken changes nothing', async () => {
    const quota = { tenant: 'acme', meter: 'cpu', window: 'month', limit: '1000' };
    const written = async (...quotas: readonly unknown[]): Promise<readonly string[]> => {
      await writeFile(file, JSON.stringify({ waivers: [waiver], quotas }));
      return declared.read().quotas.map(({ limit }) => limit);
    };
    await writeFile(file, '{}');
    const declared = new DeclaredFile(file, { facts });
    declared.load();
    expect(await written(quota)).toEqual(['1000']);
    expect(await written({ ...quota, limit: '20' }, { ...quota, window: 'day' })).toEqual(['20', '1000']);
    expect(await written({ ...quota, limit: '30' }, { ...quota, limit: '40' })).toEqual(['20', '1000']);
    expect(told).toEqual(['settingsRefused']);
    expect(declared.read().waivers).toEqual([waiver]);
    expect(await written()).toEqual([]);
    await rm(file);
    expect(declared.read().waivers).toEqual([waiver]);
    expect(told).toEqual(['settingsRefused', 'settingsRefused']);
  });

  test('has to be right when the program starts', async () => {
    await writeFile(file, JSON.stringify({ waivers: [{ ...waiver, period: 'October' }], waiver }));
    expect(() => new DeclaredFile(file, { facts }).load()).toThrow('must be a month, such as 2026-10');
  });
});
