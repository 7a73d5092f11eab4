/** One-line changes of a source: operators swapped, constants moved by one, conditions turned round. */
export interface Mutant {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  readonly found: string;
  readonly replacement: string;
}

const SWAPS: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [/ < /g, ' <= '],
  [/ < /g, ' >= '],
  [/ <= /g, ' < '],
  [/ <= /g, ' > '],
  [/ > /g, ' >= '],
  [/ > /g, ' <= '],
  [/ >= /g, ' > '],
  [/ >= /g, ' < '],
  [/ === /g, ' !== '],
  [/ !== /g, ' === '],
  [/ && /g, ' || '],
  [/ \|\| /g, ' && '],
  [/ \+ /g, ' - '],
  [/ - /g, ' + '],
  [/ \* /g, ' / '],
  [/ \/ /g, ' * '],
  [/ << /g, ' >> '],
  [/ >> /g, ' << '],
  [/ \+= /g, ' -= '],
  [/\+\+/g, '--'],
  [/Math\.min/g, 'Math.max'],
  [/Math\.max/g, 'Math.min'],
  [/Math\.floor/g, 'Math.ceil'],
  [/Math\.ceil/g, 'Math.floor'],
  [/(?<=[ (])0n\b/g, '1n'],
  [/(?<=[ (])1n\b/g, '0n'],
  [/(?<=[ (])0(?=[ ,;)])/g, '1'],
  [/(?<=[ (])1(?=[ ,;)])/g, '0'],
  [/(?<=[ (])1(?=[ ,;)])/g, '2'],
  [/\btrue\b/g, 'false'],
  [/\bfalse\b/g, 'true'],
  [/-Infinity/g, 'Infinity'],
  [/(?<!-)\bInfinity/g, '0'],
  [/FLAG\.(?!gap)\w+/g, 'FLAG.gap'],
  [/FLAG\.gap/g, '0'],
  [/(?<=if \()(?!!)/g, 'true || '],
  [/(?<=if \()(?!!)/g, 'false && '],
  [/(?<=_)MS\b/g, 'MS / 2'],
];

/** Lines that decide nothing: comments, imports, types, and messages. */
const SILENT = [
  /^\s*(\*|\/\*|\/\/|import|export (type|interface)|interface|readonly|\}|`|invariant\()/,
  /^\s*(\w+): [A-Z]\w+;$/,
];

export function mutantsOf(file: string, source: string): Mutant[] {
  return source.split('\n').flatMap((text, index) =>
    SILENT.some((silent) => silent.test(text))
      ? []
      : SWAPS.flatMap(([pattern, replacement]) =>
          [...text.matchAll(pattern)]
            .filter((match) => !/\/\/| as /.test(text.slice(0, match.index)))
            .map((match) => ({
              file,
              line: index + 1,
              column: match.index,
              found: match[0],
              replacement,
            })),
        ),
  );
}

export function mutated(source: string, { line, column, found, replacement }: Mutant): string {
  const lines = source.split('\n');
  const text = lines[line - 1] ?? '';
  lines[line - 1] = text.slice(0, column) + replacement + text.slice(column + found.length);
  return lines.join('\n');
}

export function textOf(mutant: Mutant, source: string): string {
  const text = (changed: string): string => (changed.split('\n')[mutant.line - 1] ?? '').trim();
  return `${text(source)}  ->  ${text(mutated(source, mutant))}`;
}
