import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';

import { MeteringError } from './errors.ts';
import { suggestion } from './suggestion.ts';

/**
 * What `node main.ts <command>` understands, as one table: parsing, help and errors are all made from it,
 * so they cannot disagree. An option with `value` takes one; without, it is a switch.
 */
interface OptionSpec {
  readonly help: string;
  readonly value?: string;
  readonly choices?: readonly string[];
  readonly required?: boolean;
}

interface CommandSpec {
  readonly summary: string;
  /** Name of the arguments after the options, if the command takes any; at least one is needed then. */
  readonly arguments?: string;
  readonly options: Readonly<Record<string, OptionSpec>>;
}

const config = { value: 'FILE', help: 'targets to scrape (YAML or JSON); without it a cluster is simulated' };
const roleConfig = {
  value: 'FILE',
  required: true,
  help: 'settings of the role (YAML or JSON); variables GH0STMETER_... add to it',
} as const;
const verbose = { help: 'say everything that is done' };
const data = { value: 'DIR', help: 'where the embedded log and store keep their files (default: data)' };
const settings = { value: 'FILE', help: 'metering settings: what usage is made of (JSON)' };
const format = {
  value: 'FORMAT',
  choices: ['csv', 'json'],
  help: 'how rows are printed (default: csv)',
} as const;

const period = { value: 'MONTH', required: true, help: 'a closed period, such as 2026-10' } as const;
const answerFormat = {
  value: 'FORMAT',
  choices: ['text', 'json'],
  help: 'how it is printed (default: text)',
} as const;
const declared = { value: 'FILE', help: 'waivers and erasures that operators declare (JSON)' };

export const COMMANDS = {
  all: {
    summary: 'the whole pipeline in this process: scrape, log, ingest, roll up, serve',
    options: {
      config,
      data,
      settings,
      declared,
      port: { value: 'PORT', help: 'where the API listens on loopback, 0 for any free port (default: 8080)' },
      speed: { value: 'FACTOR', help: 'how fast the time of the simulated cluster runs (default: 1)' },
      verbose,
    },
  },
  collector: {
    summary: 'collect samples into Kafka: what senders push, and what is scraped',
    options: { config: roleConfig, verbose },
  },
  aggregator: {
    summary: 'consume Kafka, keep usage and ledger in step; with an `api` section serve them, too',
    options: { config: roleConfig, verbose },
  },
  api: {
    summary: 'serve usage from a store that aggregators keep',
    options: { config: roleConfig, verbose },
  },
  doctor: {
    summary: 'check settings, brokers, topics, rights, store, clocks and disks, and say what to do',
    options: {
      config: { ...roleConfig, required: false },
      data,
      settings,
      declared,
      format: answerFormat,
    },
  },
  topics: {
    summary: 'make the Kafka topics of a role that are missing, and say what is wrong with the others',
    options: { config: roleConfig },
  },
  capture: {
    summary:
      'print the records of a log, for `replay`: of Kafka, or of a data directory that nothing runs on',
    options: { config: { ...roleConfig, required: false }, data },
  },
  quarantine: {
    summary: 'list what was refused and why, or append its records to the log again',
    arguments: 'list|retry',
    options: {
      config: { ...roleConfig, required: false },
      data,
      reason: { value: 'REASON', help: 'only what was refused for this reason, such as future' },
      limit: { value: 'N', help: 'lines of the list, or records of a retry, at most (default: 100)' },
    },
  },
  replay: {
    summary:
      'compute the usage of captured log records on a throwaway store; of a log: capture ... | replay -',
    arguments: 'FILE...',
    options: {
      settings,
      format,
      decisions: {
        value: 'FILE',
        help: 'closes and floors to repeat at their cuts, as `decisions` prints them',
      },
      statements: { value: 'DIR', help: 'where to write the statements of the repeated closes' },
    },
  },
  statement: {
    summary: 'print the statement of a tenant, or list or write all of a closed period',
    options: {
      data,
      period,
      tenant: { value: 'TENANT', help: 'whose statement to print; without it they are listed' },
      format: {
        value: 'FORMAT',
        choices: ['json', 'csv', 'focus', 'parquet'],
        help: 'its form (default: json, the stored bytes)',
      },
      out: { value: 'DIR', help: 'write all statements of the period into this directory instead' },
    },
  },
  verify: {
    summary: 'recompute a closed period from what is stored and compare every figure and hash',
    options: { data, period, settings, format: answerFormat },
  },
  explain: {
    summary: 'walk a figure down to intervals, samples and log offsets',
    options: {
      data,
      settings,
      meter: { value: 'METER', required: true, help: 'such as cpu' },
      hour: { value: 'HOUR', required: true, help: 'such as 2026-10-01T09:00:00Z' },
      tenant: { value: 'TENANT', help: 'whose usage; without it, everybody’s' },
      cluster: { value: 'CLUSTER', help: 'only of this cluster' },
      namespace: { value: 'NAMESPACE', help: 'only of this namespace' },
      limit: { value: 'N', help: 'how many intervals are shown at most (the sum is over all)' },
      format: answerFormat,
    },
  },
  decisions: {
    summary: 'print the closes and floors of a store: with the log, all that a replay needs',
    options: { data },
  },
  rebuild: {
    summary: 'make what queries read again from the ledger',
    options: { data },
  },
  help: { summary: 'show this text', options: {} },
} as const satisfies Record<string, CommandSpec>;

type Commands = typeof COMMANDS;
export type CommandName = keyof Commands;

type ValueOf<O> = O extends { readonly choices: readonly (infer C)[] }
  ? C
  : O extends { readonly value: string }
    ? string
    : boolean;

type GivenOptions<S> = {
  readonly [K in keyof S as S[K] extends { readonly required: true } ? K : never]: ValueOf<S[K]>;
} & {
  readonly [K in keyof S as S[K] extends { readonly required: true } ? never : K]?: ValueOf<S[K]>;
};

/** What a command was told. */
export type OptionsOf<Command extends CommandName> = Extract<Invocation, { command: Command }>['options'];

/** One command with its options, as the command line gave them; `switch (invocation.command)` narrows. */
export type Invocation = {
  [N in CommandName]: {
    readonly command: N;
    readonly options: GivenOptions<Commands[N]['options']>;
    readonly arguments: readonly string[];
  };
}[CommandName];

/** Throws `METER_CONFIG_INVALID` with what is wrong and what exists instead. */
export function parseCommandLine(args: readonly string[]): Invocation {
  const [name, ...rest] = args;
  if (name === undefined) throw misuse(`no command given\n\n${usageText()}`);
  if (name === 'help' || rest.includes('--help') || name === '--help' || name === '-h') {
    return { command: 'help', options: {}, arguments: [name, ...rest].filter(isTopic) };
  }
  if (!isCommand(name)) {
    const names = Object.keys(COMMANDS);
    throw misuse(`unknown command "${name}"${suggestion(name, names)}; there are: ${names.join(', ')}`);
  }
  return parseCommand(name, rest);
}

/** Help for one command, or for all of them. */
export function usageText(name?: CommandName): string {
  if (name !== undefined && name !== 'help') return commandUsage(name, COMMANDS[name]);
  const width = Math.max(...Object.keys(COMMANDS).map((command) => command.length));
  const lines = Object.entries(COMMANDS).map(
    ([command, spec]) => `  ${command.padEnd(width)}  ${spec.summary}`,
  );
  return [
    'Usage: npm run -s metering -- <command> [options]',
    '',
    ...lines,
    '',
    'Options of a command: <command> --help',
    '',
  ].join('\n');
}

function commandUsage(name: string, spec: CommandSpec): string {
  const options = Object.entries(spec.options).map(([option, { value, choices, required, help }]) => {
    const written = [`--${option}`, choices?.join('|') ?? value].filter(Boolean).join(' ');
    return `  ${written.padEnd(20)}  ${help}${required === true ? ' (required)' : ''}`;
  });
  const line = ['Usage: npm run -s metering --', name, spec.arguments, options.length > 0 ? '[options]' : ''];
  return [line.filter(Boolean).join(' '), '', spec.summary, '', ...options, ''].join('\n');
}

/** A command that `help` can tell about. */
function isTopic(name: string): boolean {
  return isCommand(name) && name !== 'help';
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name);
}

function parseCommand(command: CommandName, args: readonly string[]): Invocation {
  const spec: CommandSpec = COMMANDS[command];
  const { tokens, values, positionals } = parseArgs({
    args: [...args],
    options: parserOptions(spec),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const named = tokens.filter((token) => token.kind === 'option');
  const problems = [
    ...named.flatMap((token) => optionProblems(spec, token)),
    ...missingOptions(spec, values),
    ...argumentProblems(spec, positionals),
  ];
  if (problems.length > 0) {
    throw misuse(`${command}: ${problems.join('; ')}\n\n${commandUsage(command, spec)}`);
  }
  // The table was checked above entry by entry, which is more than types can follow.
  return { command, options: { ...values }, arguments: positionals } as Invocation;
}

function parserOptions(spec: CommandSpec): ParseArgsOptionsConfig {
  const entries = Object.entries(spec.options);
  return Object.fromEntries(
    entries.map(([name, { value }]) => [name, { type: value === undefined ? 'boolean' : 'string' }]),
  );
}

function optionProblems(
  spec: CommandSpec,
  { name, rawName, value }: { name: string; rawName: string; value?: string | undefined },
): readonly string[] {
  const option = Object.hasOwn(spec.options, name) ? spec.options[name] : undefined;
  if (option === undefined) {
    const names = Object.keys(spec.options);
    const known = names.length === 0 ? 'it takes none' : `it takes ${names.map((n) => `--${n}`).join(', ')}`;
    return [`unknown option ${rawName}${suggestion(name, names)}: ${known}`];
  }
  if (option.value === undefined) return value === undefined ? [] : [`--${name} takes no value`];
  if (value === undefined || value === '') return [`--${name} needs a value: ${option.value}`];
  if (option.choices === undefined || option.choices.includes(value)) return [];
  return [`--${name} is one of ${option.choices.join(', ')}, not "${value}"`];
}

function missingOptions(spec: CommandSpec, values: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.entries(spec.options)
    .filter(([name, { required }]) => required === true && values[name] === undefined)
    .map(([name, { value }]) => `--${name} ${value ?? ''} is required`);
}

function argumentProblems(spec: CommandSpec, positionals: readonly string[]): readonly string[] {
  if (spec.arguments !== undefined) return positionals.length > 0 ? [] : [`needs ${spec.arguments}`];
  return positionals.length === 0 ? [] : [`takes no arguments, but got ${positionals.join(' ')}`];
}

function misuse(message: string): MeteringError {
  return new MeteringError('METER_CONFIG_INVALID', message);
}
