/**
 * What may import what: rules 1 to 6 of the layering, without a baseline.
 * A comment is what the person reads whose change was refused.
 */
const ADAPTERS =
  '^(core/eventlog/(embedded|kafka)[^/]*\\.ts$|core/eventlog/(embedded|kafka)/|aggregator/store/clickhouse/)';
const PACKAGE_TYPES = [
  'npm',
  'npm-dev',
  'npm-optional',
  'npm-peer',
  'npm-bundled',
  'npm-no-pkg',
  'npm-unknown',
];

/** One owner per package: adapters translate a library's types and errors once. */
const owners = [
  { name: 'kafka', packages: ['kafkajs'], owner: '^core/eventlog/kafka' },
  { name: 'clickhouse', packages: ['@clickhouse/[^/]+', 'chdb'], owner: '^aggregator/store/clickhouse/' },
  {
    name: 'fastify',
    packages: ['fastify', '@fastify/[^/]+'],
    owner: '^(aggregator/api/|collectors/receiver/|core/runtime/http)',
  },
  { name: 'parquet', packages: ['hyparquet-writer'], owner: '^aggregator/ledger/statements/parquet' },
  { name: 'yaml', packages: ['yaml'], owner: '^core/runtime/config' },
  { name: 'jose', packages: ['jose'], owner: '^aggregator/api/identity/' },
  { name: 'telemetry', packages: ['prom-client', '@opentelemetry/[^/]+'], owner: '^core/runtime/telemetry' },
];

module.exports = {
  forbidden: [
    {
      name: 'metering-imports-nothing',
      comment: 'core/metering is the vocabulary of usage: it imports nothing outside itself.',
      severity: 'error',
      from: { path: '^core/metering/' },
      to: { pathNot: '^core/metering/' },
    },
    {
      name: 'conversion-is-pure',
      comment: 'The metering rule imports core/metering and itself: no node:*, no packages, no I/O.',
      severity: 'error',
      from: { path: '^aggregator/conversion/' },
      to: { pathNot: '^(core/metering/|aggregator/conversion/)' },
    },
    {
      name: 'model-is-independent',
      comment: 'The oracle states the rule on its own: it may not import what it is held against.',
      severity: 'error',
      from: { path: '^test/model/' },
      to: { pathNot: '^test/model/' },
    },
    {
      name: 'collectors-know-no-aggregator',
      comment: 'Collectors and aggregator meet in the record format on the log, never in code.',
      severity: 'error',
      from: { path: '^collectors/' },
      to: { path: '^aggregator/' },
    },
    {
      name: 'aggregator-knows-no-collectors',
      comment: 'Collectors and aggregator meet in the record format on the log, never in code.',
      severity: 'error',
      from: { path: '^aggregator/' },
      to: { path: '^collectors/' },
    },
    {
      name: 'core-knows-no-stage',
      comment: 'core is the shared kernel: stages import it, never the other way.',
      severity: 'error',
      from: { path: '^core/' },
      to: { path: '^(collectors|aggregator|dashboards)/' },
    },
    {
      name: 'adapters-are-composed-in-main',
      comment:
        'Code speaks to the ports; only the root files and tests choose the side (adapters may share files).',
      severity: 'error',
      from: { pathNot: ['^(main|roles|doctor)\\.ts$', '^test/', ADAPTERS] },
      to: { path: ADAPTERS },
    },
    ...owners.map(({ name, packages, owner }) => ({
      name: `${name}-has-one-owner`,
      comment: `${packages.join(', ')}: only ${owner} may import it.`,
      severity: 'error',
      from: { pathNot: ['^test/', owner] },
      to: { path: `^(node_modules/)?(${packages.join('|')})(/|$)` },
    })),
    {
      name: 'nothing-imports-tests',
      severity: 'error',
      from: { pathNot: '^test/' },
      to: { path: '^test/' },
    },
    {
      name: 'nothing-imports-main',
      comment: 'main.ts puts the parts together; a part that needs it is in the wrong place.',
      severity: 'error',
      from: { pathNot: '^(main\\.ts$|test/|start\\.js$)' },
      to: { path: '^main\\.ts$' },
    },
    {
      name: 'client-imports-nothing',
      comment: 'Users take the client of the API as it is: it imports nothing of the server, and no package.',
      severity: 'error',
      from: { path: '^aggregator/api/client/' },
      to: { pathNot: '^aggregator/api/client/' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-orphans',
      comment: 'A file that nothing imports and that imports nothing is not part of the program.',
      severity: 'error',
      from: { orphan: true, pathNot: ['^main\\.ts$', '^test/.*\\.test\\.ts$', '\\.d\\.ts$'] },
      to: {},
    },
    {
      name: 'no-undeclared-packages',
      comment: 'A package that package.json does not name may vanish with the next update.',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'no-dev-packages-at-run-time',
      severity: 'error',
      from: { pathNot: '^(test/|[^/]+\\.config\\.[jt]s$)' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'nothing-unresolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { dependencyTypes: PACKAGE_TYPES },
    exclude: { path: '^node_modules/.+/node_modules/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
    reporterOptions: { text: { highlightFocused: true } },
  },
};
