import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { loadConfig } from '../../../../core/runtime/config.ts';
import type { SettingsTimeline } from '../../../../core/metering/settings-timeline.ts';
import { meteringSettingsSchema, readSettingsTimeline } from '../../../../core/runtime/settings.ts';

const DAY_MS = 86_400_000;

const load = (values: unknown): unknown =>
  loadConfig(meteringSettingsSchema, { name: 'settings.json', values });

describe('metering settings', () => {
  test('an empty file means the defaults of the metering rule', () => {
    expect(load({})).toEqual({
      tenantLabel: 'label_gh0stcloud_io_tenant',
      platformNamespaces: ['kube-system'],
      maxHoldMs: 300_000,
      latenessMs: 172_800_000,
      maxCores: 256,
      maxLinkBytesPerSecond: 12_500_000_000,
      networkInterface: 'eth0',
      rawRetentionMs: 3_888_000_000,
      hoursRetentionMs: 34_560_000_000,
    });
  });

  test.each([
    { tenantLabel: 'gh0stcloud.io/tenant' },
    { platformNamespaces: ['Kube_System'] },
    { maxHoldMs: 0 },
    { latenessMs: 1.5 },
    { maxCores: -1 },
    { maxLinkBytesPerSecond: '12e9' },
    { networkInterface: '' },
    { rawRetentionMs: 1e15 },
    { hoursRetentionMs: 0 },
    { maxhold: 1 },
  ])('refuses %j', (values) => {
    expect(() => load(values)).toThrow('settings.json: 1 problem');
  });
});

describe('a settings file', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'metering-settings-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  async function timelineOf(values: unknown): Promise<SettingsTimeline> {
    const file = join(directory, 'settings.json');
    await writeFile(file, JSON.stringify(values));
    return readSettingsTimeline(file);
  }

  test('of one set counts for all time', async () => {
    expect((await timelineOf({ maxCores: 12 })).of(203001).maxCores).toBe(12);
    expect(readSettingsTimeline(undefined).of(203001).maxCores).toBe(256);
  });

  test('of versions changes from a month on', async () => {
    const versions = [{ validFrom: '2026-11', maxCores: 64 }, { validFrom: '2026-01' }];
    const timeline = await timelineOf({ versions });
    expect(timeline.of(202610).maxCores).toBe(256);
    expect(timeline.of(202611).maxCores).toBe(64);
  });

  test('may not change what holds for all months alike, nor have a month twice', async () => {
    const versions = [{ validFrom: '2026-11', latenessMs: 1 }, { validFrom: '2026-11' }];
    await expect(timelineOf({ versions })).rejects.toThrow(
      'latenessMs holds for all months alike: give all versions the same; 2026-11 has two versions',
    );
  });

  test('keeps hours for longer than the samples that may change them', async () => {
    const least = 45 * DAY_MS + 2 * DAY_MS + 32 * DAY_MS;
    await expect(timelineOf({ hoursRetentionMs: least - 1 })).rejects.toThrow(
      `hoursRetentionMs is ${least - 1}: hours outlive their samples, so it is at least ${least}, ` +
        'which is rawRetentionMs, latenessMs and 32 days together',
    );
    expect((await timelineOf({ hoursRetentionMs: least })).of(203001).hoursRetentionMs).toBe(least);
    await expect(timelineOf({ rawRetentionMs: 400 * DAY_MS })).rejects.toThrow('hours outlive their samples');
    const versions = [{ validFrom: '2026-11', hoursRetentionMs: least - 1 }, { validFrom: '2026-12' }];
    await expect(timelineOf({ versions })).rejects.toThrow(
      /hoursRetentionMs holds for all months alike: .*; hoursRetentionMs is \d+: hours outlive/,
    );
  });

  test('says which version is wrong', async () => {
    await expect(timelineOf({ versions: [{ validFrom: '2026-13' }] })).rejects.toThrow(
      'versions.0.validFrom',
    );
    await expect(timelineOf({ versions: [] })).rejects.toThrow('versions');
  });
});
