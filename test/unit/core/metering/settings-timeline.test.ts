import { describe, expect, test } from 'vitest';
import { SettingsTimeline } from '../../../../core/metering/settings-timeline.ts';
import { SETTINGS } from '../../../support/accounts.ts';

const cores = (maxCores: number): typeof SETTINGS => ({ ...SETTINGS, maxCores });
const timeline = new SettingsTimeline([
  { validFrom: 202611, settings: cores(64) },
  { validFrom: 202609, settings: cores(32) },
]);

describe('settings by period', () => {
  test('are the newest version that is valid by then, and the first one before all', () => {
    expect(timeline.of(202501).maxCores).toBe(32);
    expect(timeline.of(202610).maxCores).toBe(32);
    expect(timeline.of(202611).maxCores).toBe(64);
    expect(timeline.at(Date.UTC(2026, 10, 1) - 1).maxCores).toBe(32);
  });

  test('of closed periods are those that were pinned, whatever the versions say now', () => {
    const pinned = timeline.pinned([
      { period: 202610, settings: cores(16) },
      { period: 202611, settings: cores(8) },
    ]);
    expect(pinned.of(202610).maxCores).toBe(16);
    expect(pinned.of(202611).maxCores).toBe(8);
    expect(pinned.of(202612).maxCores).toBe(64);
    expect(pinned.of(202609).maxCores).toBe(16);
  });

  test('keep a version that begins after the first open period', () => {
    expect(timeline.pinned([{ period: 202609, settings: cores(1) }]).of(202611).maxCores).toBe(64);
    expect(timeline.pinned([{ period: 202609, settings: cores(1) }]).of(202610).maxCores).toBe(32);
  });
});
