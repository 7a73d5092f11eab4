import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/*
 * An insert or a commit that nobody awaits is a billing bug, so every rule here runs with types.
 * Layout is Prettier's; what may import what is dependency-cruiser's (.dependency-cruiser.cjs).
 */

const SOURCES = ['**/*.ts'];
const TESTS = ['test/**/*.ts'];
const CLOCK = ['core/runtime/clock.ts'];
const CONFIG = ['core/runtime/config.ts', 'core/runtime/config/**/*.ts'];

const TIMER_MESSAGE = 'Time comes from the Clock that is handed in (core/runtime/clock.ts).';
const TIMERS = [
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
];
const TIMER_MODULES = ['node:timers', 'node:timers/promises', 'timers', 'timers/promises'];

const time = {
  globals: TIMERS.map((name) => ({ name, message: TIMER_MESSAGE })),
  properties: [
    { object: 'Date', property: 'now', message: TIMER_MESSAGE },
    { object: 'performance', property: 'now', message: TIMER_MESSAGE },
    { object: 'process', property: 'hrtime', message: TIMER_MESSAGE },
    { object: 'Math', property: 'random', message: 'Chance is handed in, so that a seed can repeat it.' },
    ...TIMERS.map((property) => ({ object: 'globalThis', property, message: TIMER_MESSAGE })),
  ],
  syntax: [
    { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: TIMER_MESSAGE },
    { selector: "CallExpression[callee.name='Date']", message: TIMER_MESSAGE },
  ],
};

const environment = {
  object: 'process',
  property: 'env',
  message: 'Settings are read and checked in one place: core/runtime/config.ts.',
};

const notErasable = [
  { selector: 'TSEnumDeclaration', message: 'Node strips types and nothing else: use a union of literals.' },
  { selector: 'TSParameterProperty', message: 'Node strips types and nothing else: declare the field.' },
];

export default defineConfig(
  { ignores: ['node_modules/', 'data/', 'coverage/', 'reports/', '**/*.generated.*'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: SOURCES,
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': ['error', { ignoreVoid: false }],
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true, requireDefaultForNonUnion: true },
      ],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true, allowAny: false, allowNullish: false },
      ],
      // A port's empty side may be async by contract without awaiting anything.
      '@typescript-eslint/require-await': 'off',
      // Arrow shorthand that returns a void call reads well and hides nothing.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      eqeqeq: 'error',
      'no-console': 'error',
      'no-restricted-globals': ['error', ...time.globals],
      'no-restricted-imports': [
        'error',
        { paths: TIMER_MODULES.map((name) => ({ name, message: TIMER_MESSAGE })) },
      ],
      'no-restricted-properties': ['error', ...time.properties, environment],
      'no-restricted-syntax': ['error', ...notErasable, ...time.syntax],
      'max-lines': ['error', { max: 400 }],
      'max-lines-per-function': ['error', { max: 70, skipComments: true }],
      'max-params': ['error', { max: 4 }],
      complexity: ['error', { max: 20 }],
    },
  },
  {
    files: CLOCK,
    rules: {
      'no-restricted-globals': 'off',
      'no-restricted-imports': 'off',
      'no-restricted-properties': ['error', environment],
      'no-restricted-syntax': ['error', ...notErasable],
    },
  },
  { files: CONFIG, rules: { 'no-restricted-properties': ['error', ...time.properties] } },
  {
    files: TESTS,
    rules: {
      // A describe block is one function that holds many tests.
      'max-lines-per-function': 'off',
      'max-lines': 'off',
      // Builders hand out functions one by one.
      '@typescript-eslint/unbound-method': 'off',
      // A test may say "this is there"; where it is not, it fails by itself.
      '@typescript-eslint/no-non-null-assertion': 'off',
      'no-restricted-properties': ['error', ...time.properties],
    },
  },
  {
    // Real servers are started, waited for and given seeds of chance here.
    files: [
      'test/support/**/*.ts',
      'test/integration/**/*.ts',
      'test/e2e/**/*.ts',
      'test/unit/aggregator/aggregator.test.ts',
    ],
    rules: {
      'no-restricted-globals': 'off',
      'no-restricted-imports': 'off',
      'no-restricted-properties': 'off',
      'no-restricted-syntax': ['error', ...notErasable],
    },
  },
  {
    // The outermost shell speaks to people on a terminal, and tests print the figures they reach.
    files: ['main.ts', 'test/support/**/*.ts', 'test/e2e/**/*.ts'],
    rules: { 'no-console': 'off' },
  },
);
