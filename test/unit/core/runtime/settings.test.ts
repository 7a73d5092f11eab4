import { describe, expect, test } from 'vitest';

import { loadConfig } from '../../../../core/runtime/config.ts';
import { meteringSettingsSchema } from '../../../../core/runtime/settings.ts';

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
    { maxhold: 1 },
  ])('refuses %j', (values) => {
    expect(() => load(values)).toThrow('settings.json: 1 problem');
  });
});
