import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readScrapeConfig, scrapeConfig, timeoutMsOf } from '../../../../collectors/scrape/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'scrape-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const TARGET = { job: 'kubelet', url: 'https://10.0.0.1:10250/metrics' };

describe('the targets file', () => {
  it('is read as YAML or JSON, with every default', () => {
    const yaml = file(
      'targets.yaml',
      'cluster: dev\ntargets:\n  - job: kubelet\n    url: https://10.0.0.1:10250/metrics\n',
    );
    const json = file('targets.json', JSON.stringify({ cluster: 'dev', targets: [TARGET] }));
    expect(readScrapeConfig(yaml)).toEqual(readScrapeConfig(json));
    expect(readScrapeConfig(json).targets[0]).toEqual({
      ...TARGET,
      labels: {},
      intervalMs: 30_000,
      format: 'text',
      honorLabels: false,
      honorTimestamps: true,
      trackTimestampsStaleness: true,
      bodyLimitBytes: 64 * 1024 * 1024,
      sampleLimit: 200_000,
    });
    expect(Object.isFrozen(readScrapeConfig(json))).toBe(true);
  });

  it('shortens the default timeout to a short interval', () => {
    const { targets } = scrapeConfig({
      cluster: 'dev',
      targets: [TARGET, { ...TARGET, job: 'quick', intervalMs: 500 }],
    });
    expect(targets.map(timeoutMsOf)).toEqual([10_000, 500]);
  });

  it('tells every problem at once', () => {
    const path = file(
      'bad.yaml',
      `cluster: "no/slash"
targets:
  - { job: a, url: "ftp://x", colour: red }
  - { job: a, url: "http://u:p@x", labels: { cluster: prod, "9": x } }
  - { job: a, url: "http://x", intervalMs: 1000, timeoutMs: 2000 }
`,
    );
    const problems = [
      'cluster: must be letters',
      'targets.0.url: must be an http or https URL',
      'targets.0.colour: unknown key; remove it, or use one of: job, url, instance',
      'targets.1.url: must not carry credentials',
      'targets.1.labels.cluster: is decided by a setting',
      'targets.1.labels.9: must be a label name',
      'targets.2.timeoutMs: must not be longer than intervalMs',
    ];
    let message = '';
    try {
      readScrapeConfig(path);
    } catch (error) {
      message = String(error);
    }
    for (const problem of problems) expect(message).toContain(problem);
  });

  it('refuses labels that the scraper decides, and two targets of one job and instance', () => {
    const owned = { ...TARGET, labels: { job: 'x' } };
    expect(() => scrapeConfig({ cluster: 'dev', targets: [owned] })).toThrow('setting of its own');
    const twice = [TARGET, { ...TARGET, url: 'https://10.0.0.1:10250/metrics/cadvisor' }];
    expect(() => scrapeConfig({ cluster: 'dev', targets: twice })).toThrow(
      'targets.1: is job and instance kubelet 10.0.0.1:10250, as target 0 is',
    );
  });

  it.each([
    ['broken.yaml', 'cluster: [', 'is not valid YAML'],
    ['broken.json', '{', 'is not valid JSON'],
  ])('says that %s cannot be understood', (name, text, problem) => {
    expect(() => readScrapeConfig(file(name, text))).toThrow(problem);
  });

  it('says that a missing file cannot be read', () => {
    expect(() => readScrapeConfig(join(folder, 'missing.yaml'))).toThrow('cannot be read');
  });
});
