import { describe, expect, test } from 'vitest';

import { COMMANDS, parseCommandLine, usageText } from '../../../../core/runtime/command-line.ts';
import type { MeteringError } from '../../../../core/runtime/errors.ts';

function refusal(...args: string[]): string {
  try {
    parseCommandLine(args);
  } catch (error) {
    expect(error).toMatchObject({ code: 'METER_CONFIG_INVALID' });
    return (error as MeteringError).message;
  }
  throw new Error(`${args.join(' ')} was not refused`);
}

describe('a command line', () => {
  test('is a command, its options and its arguments, in any order', () => {
    expect(
      parseCommandLine(['replay', 'a.jsonl', '--format', 'json', 'b.jsonl', '--settings=s.json']),
    ).toEqual({
      command: 'replay',
      options: { format: 'json', settings: 's.json' },
      arguments: ['a.jsonl', 'b.jsonl'],
    });
  });

  test('starts the role all, with switches and values', () => {
    expect(parseCommandLine(['all', '--data', 'd', '--verbose'])).toEqual({
      command: 'all',
      options: { data: 'd', verbose: true },
      arguments: [],
    });
  });

  test('says what exists when it is given what does not', () => {
    expect(refusal('replya')).toBe(
      'unknown command "replya" (did you mean "replay"?); ' +
        `there are: ${Object.keys(COMMANDS).join(', ')}`,
    );
    expect(refusal('toString')).toContain('unknown command "toString"; there are');
    expect(refusal()).toContain('no command given');
  });

  test('reports all that is wrong with its options at once', () => {
    const message = refusal('replay', '--fromat', 'csv', '--format', 'xml', '--settings');
    expect(message).toContain(
      'unknown option --fromat (did you mean "format"?): it takes --settings, --format',
    );
    expect(message).toContain('--format is one of csv, json, not "xml"');
    expect(message).toContain('--settings needs a value: FILE');
  });

  test('asks for what a command cannot do without', () => {
    expect(refusal('replay')).toContain('needs FILE...');
    expect(refusal('all', 'now')).toContain('takes no arguments, but got now');
  });

  test('gives a file that starts with a dash after --', () => {
    expect(parseCommandLine(['replay', '--', '--odd'])).toMatchObject({ arguments: ['--odd'] });
  });
});

describe('help', () => {
  test.each([['help'], ['--help'], ['-h']])('%s names every command', (...args) => {
    expect(parseCommandLine(args)).toEqual({ command: 'help', options: {}, arguments: [] });
    for (const [name, { summary }] of Object.entries(COMMANDS)) {
      expect(usageText()).toMatch(new RegExp(`^ {2}${name} +${summary.replace(/[()]/g, '.')}$`, 'm'));
    }
  });

  test('of one command names its options, whichever way it is asked for', () => {
    expect(parseCommandLine(['replay', '--help'])).toMatchObject({ command: 'help', arguments: ['replay'] });
    expect(parseCommandLine(['help', 'all'])).toMatchObject({ command: 'help', arguments: ['all'] });
    expect(usageText('replay')).toContain('Usage: npm run -s metering -- replay FILE... [options]');
    expect(usageText('replay')).toContain('--format csv|json');
  });
});
