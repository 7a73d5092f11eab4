/**
 * Do the tests notice when the rule is wrong? Changes one line at a time and runs a quick suite against it:
 * `npm run test:mutants` for all, `npm run test:mutants -- births.ts lateness` for those whose file or change
 * contains each of these words. Ends with a failure if a change that is not listed in `equivalent.ts` survives.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHOSEN } from './chosen.ts';
import { SourceCopy, type Outcome } from './copy.ts';
import { EQUIVALENT } from './equivalent.ts';
import { mutantsOf, mutated, textOf } from './mutants.ts';

const ROOT = join(import.meta.dirname, '../..');
const COPIES = 2;

interface Suite {
  readonly files: readonly string[];
  /** One after the other, until a test fails: the quick ones first. */
  readonly stages: readonly (readonly string[])[];
  readonly worlds: number;
  readonly timeoutMs: number;
}

const UNIT = [
  'test/unit/aggregator/conversion',
  'test/unit/aggregator/attribution',
  'test/unit/aggregator/rollup',
  'test/unit/core/metering/quantity.test.ts',
];

const PURE: Suite = {
  files: [
    ...['counter', 'delta', 'gauge', 'plausibility', 'split'].map(
      (name) => `aggregator/conversion/${name}.ts`,
    ),
    'aggregator/attribution/history.ts',
    'aggregator/attribution/ownership.ts',
    'aggregator/rollup/usage-parts.ts',
    'core/metering/quantity.ts',
  ],
  stages: [UNIT],
  worlds: 0,
  timeoutMs: 30_000,
};
const STORED: Suite = {
  files: [...new Set(CHOSEN.map(({ file }) => file))],
  stages: [
    ['test/property/late-facts.test.ts'],
    ['test/vectors/pipeline.test.ts', 'test/property/regressions.test.ts'],
    ['test/integration/silent-hours.test.ts', 'test/integration/roll-up-'],
    ['test/property/worlds-in'],
  ],
  worlds: 60,
  timeoutMs: 400_000,
};

interface Trial {
  readonly file: string;
  readonly change: string;
  readonly source: string;
  readonly changed: string;
  readonly suite: Suite;
}

/** Every change of the pure files, and the chosen ones of those that need a store. */
async function trials(words: readonly string[]): Promise<Trial[]> {
  const all: Trial[] = [];
  const read = (file: string): Promise<string> => readFile(join(ROOT, file), 'utf8');
  for (const file of PURE.files) {
    const source = await read(file);
    for (const mutant of mutantsOf(file, source)) {
      const change = textOf(mutant, source);
      all.push({ file, change, source, changed: mutated(source, mutant), suite: PURE });
    }
  }
  for (const { file, found, replacement } of CHOSEN) {
    const source = await read(file);
    if (!source.includes(found)) throw new Error(`${file} has no ${found}`);
    const change = `${found}  ->  ${replacement}`;
    all.push({ file, change, source, changed: source.replace(found, () => replacement), suite: STORED });
  }
  return all.filter(({ file, change }) => words.every((word) => `${file} ${change}`.includes(word)));
}

async function main(): Promise<void> {
  const waiting = await trials(process.argv.slice(2));
  const counts: Record<Outcome | 'equivalent', number> = {
    killed: 0,
    survived: 0,
    timeout: 0,
    equivalent: 0,
  };
  const worker = async (): Promise<void> => {
    const copy = await SourceCopy.make();
    try {
      for (let trial = waiting.shift(); trial !== undefined; trial = waiting.shift()) {
        counts[await judged(copy, trial)]++;
      }
    } finally {
      await copy.remove();
    }
  };
  await Promise.all(Array.from({ length: COPIES }, worker));
  process.stdout.write(`${JSON.stringify(counts)}\n`);
  if (counts.survived > 0) process.exitCode = 1;
}

async function judged(copy: SourceCopy, trial: Trial): Promise<Outcome | 'equivalent'> {
  const { file, change, source, changed, suite } = trial;
  if (EQUIVALENT.some((each) => each.file === file && each.change === change)) return 'equivalent';
  await copy.write(file, changed);
  let outcome: Outcome = 'survived';
  for (const stage of suite.stages) {
    if (outcome === 'survived') outcome = await copy.test(stage, suite);
  }
  await copy.write(file, source);
  if (outcome === 'survived') process.stdout.write(`survived ${file}: ${change}\n`);
  return outcome;
}

await main();
