import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, test } from 'vitest';

/** The rules of layout and naming that no compiler and no linter holds. */
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SOURCE_FOLDERS = ['core', 'collectors', 'aggregator', 'dashboards', 'test'];
const NOT_OURS = new Set(['node_modules', 'data', 'coverage', 'reports', '.git']);

const MAX_LINE = 110;
const MAX_LINES = 400;

function filesUnder(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (NOT_OURS.has(entry.name)) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesUnder(path);
    return entry.isFile() ? [relative(ROOT, path)] : [];
  });
}

function text(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** `path:line` of every line that breaks a rule, so that a failure can be clicked. */
function linesWhere(paths: readonly string[], broken: (line: string) => boolean): string[] {
  return paths.flatMap((path) =>
    text(path)
      .split('\n')
      .flatMap((line, index) => (broken(line) ? [`${path}:${index + 1} ${line.trim().slice(0, 60)}`] : [])),
  );
}

const rootFiles = readdirSync(ROOT, { withFileTypes: true }).flatMap((entry) =>
  entry.isFile() ? [entry.name] : [],
);
const sources = [...rootFiles, ...SOURCE_FOLDERS.flatMap((folder) => filesUnder(join(ROOT, folder)))].filter(
  (path) => path.endsWith('.ts') && !path.includes('.generated.'),
);
const program = sources.filter((path) => !path.startsWith('test/'));
// This file has to name what it forbids.
const others = sources.filter((path) => path !== 'test/unit/repository.test.ts');

describe('names', () => {
  test('source files and folders are in kebab-case', () => {
    const part = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|contract|config|d|bench))*(\.ts)?$/;
    expect(sources.filter((path) => !path.split('/').every((name) => part.test(name)))).toEqual([]);
  });

  test('no file or folder is a drawer for what has no name', () => {
    const drawer = /(^|[/-])(utils?|helpers?|common|managers?|misc|shared)([-./]|$)/;
    expect(sources.filter((path) => drawer.test(path))).toEqual([]);
  });

  test('migrations are numbered from 001 without a hole', () => {
    const names = filesUnder(join(ROOT, 'aggregator/store/schema')).map(
      (path) => path.split('/').at(-1) ?? '',
    );
    const numbers = names.map((name) => /^(\d{3})_[a-z0-9_]+\.sql$/.exec(name)?.[1] ?? name).sort();
    expect(numbers).toEqual(numbers.map((_, index) => String(index + 1).padStart(3, '0')));
    expect(numbers.length).toBeGreaterThan(0);
  });
});

describe('size', () => {
  test(`no line of the program is longer than ${MAX_LINE} characters`, () => {
    expect(linesWhere(program, (line) => line.length > MAX_LINE)).toEqual([]);
  });

  test(`no source of the program is longer than ${MAX_LINES} lines`, () => {
    const length = (path: string): number => text(path).trimEnd().split('\n').length;
    const long = program.filter((path) => length(path) > MAX_LINES);
    expect(long.map((path) => `${path}: ${length(path)}`)).toEqual([]);
  });
});

describe('sources', () => {
  test('ids are looked up among ids, not among texts: those that end with a zero byte are no such text', () => {
    const elsewhere = program.filter((path) => path !== 'aggregator/store/ids.ts');
    expect(linesWhere(elsewhere, (line) => /unhex\(arrayJoin|IN \(SELECT unhex/.test(line))).toEqual([]);
  });

  test('only the clock reads time, sets timers or draws by chance', () => {
    // How long a socket may stand still is said to the socket.
    const timer = String.raw`(?<!\.socket\.)setTimeout|setInterval`;
    const impure = new RegExp(
      String.raw`\b(Date\.now|performance\.now|Math\.random|new Date\(\)|${timer})\b`,
    );
    const elsewhere = program.filter(
      (path) => path !== 'core/runtime/clock.ts' && !path.endsWith('.config.ts'),
    );
    expect(linesWhere(elsewhere, (line) => impure.test(line) && !/^\s*(\*|\/\/|\/\*)/.test(line))).toEqual(
      [],
    );
  });

  test('only the configuration reads the environment', () => {
    const elsewhere = program.filter((path) => !/^core\/runtime\/config(\.ts|\/)/.test(path));
    expect(linesWhere(elsewhere, (line) => line.includes('process.env'))).toEqual([]);
  });

  test('nothing is left for later in a comment', () => {
    expect(linesWhere(others, (line) => /\b(TODO|FIXME|XXX|HACK)\b/.test(line))).toEqual([]);
  });

  test('no test runs alone or waits to be written, and one that is skipped names what it needs', () => {
    const tests = others.filter((path) => path.startsWith('test/'));
    const switchedOff = /\b(test|it|describe)\.(only|todo|skip\((?!['"`]needs ))/;
    expect(linesWhere(tests, (line) => switchedOff.test(line))).toEqual([]);
  });

  test('imports name the file with its ending', () => {
    const bare = /from '\.{1,2}\/[^']*(?<!\.(ts|js|json))'/;
    expect(linesWhere(others, (line) => bare.test(line))).toEqual([]);
  });
});

describe('the lockfile', () => {
  interface LockedPackage {
    readonly version?: string;
    readonly resolved?: string;
    readonly optionalDependencies?: Readonly<Record<string, string>>;
  }
  const { packages } = JSON.parse(text('package-lock.json')) as {
    packages: Readonly<Record<string, LockedPackage>>;
  };

  /** Node's walk: the nearest node_modules at or above `parent` that has the package. */
  function isLocked(parent: string, name: string): boolean {
    for (let base = parent; ; base = base.slice(0, Math.max(0, base.lastIndexOf('node_modules/') - 1))) {
      if (`${base === '' ? '' : `${base}/`}node_modules/${name}` in packages) return true;
      if (base === '') return false;
    }
  }

  test('names no address, so that any registry can serve it', () => {
    expect(Object.keys(packages).filter((path) => packages[path]?.resolved !== undefined)).toEqual([]);
  });

  test('names every optional package, else `npm ci` refuses it (node .ci/complete-lockfile.js adds them)', () => {
    const missing = Object.entries(packages).flatMap(([parent, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) => !isLocked(parent, name)),
    );
    expect(missing).toEqual([]);
  });

  test('package.json pins exact versions', () => {
    const manifest = JSON.parse(text('package.json')) as Record<string, Record<string, string> | undefined>;
    const versions = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) =>
      Object.entries(manifest[kind] ?? {}),
    );
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
    expect(versions.length).toBeGreaterThan(0);
  });
});

describe('decision records', () => {
  const records = filesUnder(join(ROOT, 'docs/decisions'));

  test('are numbered without a hole and named after their decision', () => {
    const numbers = records
      .map((path) => /\/(\d{4})-[a-z0-9]+(-[a-z0-9]+)*\.md$/.exec(path)?.[1] ?? path)
      .sort();
    expect(numbers).toEqual(numbers.map((_, index) => String(index + 1).padStart(4, '0')));
    expect(numbers.length).toBeGreaterThan(0);
  });

  test.each(records)('%s has a title, context, decision and consequences', (path) => {
    const headings = text(path)
      .split('\n')
      .filter((line) => line.startsWith('#'));
    const number = /(\d{4})-/.exec(path)?.[1] ?? '';
    expect(headings[0]).toMatch(new RegExp(`^# ${number}: .+`));
    expect(headings.slice(1)).toEqual(['## Context', '## Decision', '## Consequences']);
  });

  test('every package that the program runs on is told in a record', () => {
    const manifest = JSON.parse(text('package.json')) as Record<string, Record<string, string> | undefined>;
    const told = records.map((path) => text(path)).join('\n');
    const names = Object.keys({ ...manifest['dependencies'], ...manifest['optionalDependencies'] });
    const family = (name: string): string => (name.startsWith('@opentelemetry/') ? '@opentelemetry/*' : name);
    expect(names.filter((name) => !told.includes(`\`${family(name)}\``))).toEqual([]);
  });
});
