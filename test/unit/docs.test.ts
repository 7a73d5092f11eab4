import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { COMMANDS } from '../../core/runtime/command-line.ts';
import type { FactDefinition } from '../../core/runtime/fact-definition.ts';
import { facts } from '../../core/runtime/facts.ts';
import { PROBLEM_CODES, problemKinds } from '../reference/error-codes.ts';
import { DIRECTORY, referencePages, ROOT, statedFacts } from '../reference/reference.ts';

const pages = [
  ...['README.md', 'CHANGELOG.md', 'test/README.md'],
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];
const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const manifest = JSON.parse(text('package.json')) as { scripts: Readonly<Record<string, string>> };

describe('the reference', () => {
  test.each([...referencePages()])('%s is what `npm run generate` writes', (name, expected) => {
    expect(readFileSync(join(DIRECTORY, name), 'utf8')).toBe(expected);
  });

  test('has no page that nothing generates', () => {
    expect(readdirSync(DIRECTORY).sort()).toEqual([...referencePages().keys()].sort());
  });

  test('knows status and title of every problem the API answers with', () => {
    const kinds = problemKinds(join(ROOT, 'aggregator/api/problem.ts'));
    expect([...kinds.keys()].sort()).toEqual(Object.keys(PROBLEM_CODES).sort());
  });

  test('leaves no setting without a kind', () => {
    const rows = (referencePages().get('settings.md') ?? '')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    expect(rows.length).toBeGreaterThan(30);
    expect(rows.filter((row) => row.split(' | ')[1]?.trim() === '')).toEqual([]);
  });
});

describe('runbooks', () => {
  const stated = statedFacts();
  const named = Object.entries<FactDefinition<object>>(facts).flatMap(([name, { runbook }]) =>
    runbook === undefined || !stated.has(name) ? [] : [{ name, runbook }],
  );

  test.each(named)('$name names a page that is there and names it', ({ name, runbook }) => {
    expect(existsSync(join(ROOT, 'docs/runbooks', `${runbook}.md`))).toBe(true);
    expect(text(`docs/runbooks/${runbook}.md`)).toContain(`\`${name}\``);
  });

  test('every error that can be told has one', () => {
    const errors = Object.entries<FactDefinition<object>>(facts).filter(([, { level }]) => level === 'error');
    expect(errors.filter(([, { runbook }]) => runbook === undefined).map(([name]) => name)).toEqual([]);
    expect(named.length).toBeGreaterThan(4);
  });

  const runbooks = readdirSync(join(ROOT, 'docs/runbooks'));

  test.each(runbooks)('%s says what it means for bills, how to see it and what to do', (name) => {
    const headings = text(`docs/runbooks/${name}`).match(/^## .*$/gm);
    expect(headings).toEqual(['## What it means for bills', '## How to see it', '## What to do']);
    expect(named.map(({ runbook }) => `${runbook}.md`)).toContain(name);
  });

  test.each(runbooks)('%s names only metrics that there are', (name) => {
    const metrics = Object.values<FactDefinition<object>>(facts).flatMap((fact) =>
      fact.metrics.map((metric) => metric.name),
    );
    const mentioned = text(`docs/runbooks/${name}`).match(/`gh0stmeter_[a-z0-9_]+`/g) ?? [];
    expect(mentioned.filter((metric) => !metrics.includes(metric.slice(1, -1)))).toEqual([]);
  });
});

describe('every page', () => {
  test.each(pages)('%s links only to what is there', (page) => {
    const targets = [...text(page).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, target = '']) => target);
    const broken = targets.filter((target) => !existsSync(resolve(ROOT, dirname(page), target)));
    expect(broken.map((target) => `${relative(ROOT, page)} -> ${target}`)).toEqual([]);
  });

  test.each(pages)('%s shows only commands that there are', (page) => {
    const scripts = [...text(page).matchAll(/\bnpm run (?:-s )?([a-z:]+)/g)].map(([, script = '']) => script);
    expect(scripts.filter((script) => !(script in manifest.scripts))).toEqual([]);
    const commands = [...text(page).matchAll(/metering -- ([a-z]+)/g)].map(([, command = '']) => command);
    expect(commands.filter((command) => !(command in COMMANDS))).toEqual([]);
  });
});
