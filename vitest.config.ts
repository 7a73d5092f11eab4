import { configDefaults, defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What one test and one hook of a suite may take. `.ci/run` holds the whole suite to its minutes. */
interface Suite {
  readonly name: string;
  readonly testTimeoutMs: number;
  readonly hookTimeoutMs: number;
}

const SUITES: readonly Suite[] = [
  { name: 'unit', testTimeoutMs: 60_000, hookTimeoutMs: 60_000 },
  { name: 'vectors', testTimeoutMs: 120_000, hookTimeoutMs: 60_000 },
  { name: 'property', testTimeoutMs: 120_000, hookTimeoutMs: 60_000 },
  { name: 'simulation', testTimeoutMs: 120_000, hookTimeoutMs: 60_000 },
  { name: 'integration', testTimeoutMs: 60_000, hookTimeoutMs: 120_000 },
  { name: 'e2e', testTimeoutMs: 180_000, hookTimeoutMs: 180_000 },
];

/** Files that take minutes, the longest first: begun last, one of them would leave a core without work. */
const LONGEST = [
  ...['property/late-facts', 'simulation/crash-at-every-call', 'simulation/worlds-', 'property/worlds-in-'],
  ...['vectors/pipeline', 'unit/aggregator/aggregator', 'unit/repository', 'property/worlds'],
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const found = LONGEST.findIndex((name) => moduleId.includes(`/test/${name}`));
      return found === -1 ? LONGEST.length : found;
    };
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
  }
}

function project(suite: Suite): TestProjectInlineConfiguration {
  return {
    test: {
      name: suite.name,
      include: [`test/${suite.name}/**/*.test.ts`],
      exclude: [...configDefaults.exclude, 'test/support/**'],
      environment: 'node',
      // chDB is a native library with one engine per process: a fork per file, never a thread.
      pool: 'forks',
      isolate: true,
      testTimeout: suite.testTimeoutMs,
      hookTimeout: suite.hookTimeoutMs,
    },
  };
}

export default defineConfig(({ mode }) => {
  // `vitest --mode` is no switch here; a typing error must not silently run something else.
  // Tools that only read this file pass modes of their own.
  if (!['test', 'development', 'production'].includes(mode))
    throw new Error(`unknown mode ${mode}; suites are chosen with --project`);
  return {
    test: {
      maxWorkers: 2,
      passWithNoTests: false,
      // A test that waits for nothing, retries or is left `.only` hides what it should show.
      allowOnly: false,
      retry: 0,
      sequence: { sequencer: LongestFirst },
      teardownTimeout: 10_000,
      projects: SUITES.map(project),
    },
  };
});
