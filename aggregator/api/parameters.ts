/**
 * The parameters of a request, from its query string or its JSON body, read one by one. Everything wrong
 * with them is gathered, so that a caller learns all of it at once; a parameter that nobody asked for is
 * wrong too.
 */
import { suggestion } from '../../core/runtime/suggestion.ts';
import type { RequestProblem, RequestProblemCode } from './problem.ts';

/** Longer lists are no filter but a report: leave the filter out and group instead. */
export const MAX_VALUES_PER_PARAMETER = 100;

/** Longer than any name in a cluster may be. */
const MAX_VALUE_LENGTH = 256;

type Values = ReadonlyMap<string, readonly string[]>;

export class ParameterReader {
  readonly problems: RequestProblem[] = [];
  readonly #values: Values;
  readonly #known = new Set<string>();

  private constructor(values: Values, problems: readonly RequestProblem[]) {
    this.#values = values;
    this.problems.push(...problems);
  }

  /** `a=1&a=2&b[c]=3` as the framework parses it: text or lists of text by name. */
  static fromQuery(query: unknown): ParameterReader {
    const entries = Object.entries(query as Readonly<Record<string, string | string[]>>);
    return new ParameterReader(new Map(entries.map(([name, value]) => [name, [value].flat()])), []);
  }

  /** The same parameters as a JSON object: `b: {c: "3"}` stands for `b[c]=3`. */
  static fromBody(body: unknown): ParameterReader {
    const values = new Map<string, readonly string[]>();
    const problems: RequestProblem[] = [];
    if (isObject(body)) flatten(body, values, problems);
    else problems.push({ parameter: '', code: 'not_an_object', detail: 'The body has to be a JSON object.' });
    return new ParameterReader(values, problems);
  }

  report(parameter: string, code: RequestProblemCode, detail: string): void {
    this.problems.push({ parameter, code, detail });
  }

  one(name: string): string | undefined {
    const values = this.#take(name);
    if (values.length > 1) this.report(name, 'repeated_parameter', 'Give it once.');
    return values[0];
  }

  /** Undefined when the parameter is absent; an absent filter is no filter. Sorted, each value once. */
  list(name: string): readonly string[] | undefined {
    const values = this.#take(name);
    if (values.length > MAX_VALUES_PER_PARAMETER) {
      const advice = 'Ask in several requests, or group and leave the filter out.';
      this.report(name, 'too_many_values', `At most ${MAX_VALUES_PER_PARAMETER} values. ${advice}`);
    }
    return values.length === 0 ? undefined : [...new Set(values)].sort();
  }

  /** Call it last: what was not asked for by then is not known. */
  refuseOthers(): void {
    const known = [...this.#known];
    for (const name of this.#values.keys()) {
      if (this.#known.has(name)) continue;
      this.report(
        name,
        'unknown_parameter',
        `Not known${suggestion(name, known)}. Known: ${known.join(', ')}.`,
      );
    }
  }

  #take(name: string): readonly string[] {
    this.#known.add(name);
    const values = this.#values.get(name) ?? [];
    if (values.some((value) => value.trim() === '')) {
      this.report(name, 'empty_value', 'Give a value or leave it out.');
    }
    if (values.some((value) => value.length > MAX_VALUE_LENGTH)) {
      this.report(name, 'out_of_bounds', `Values have at most ${MAX_VALUE_LENGTH} characters.`);
    }
    return values.filter((value) => value.trim() !== '');
  }
}

function flatten(
  body: Readonly<Record<string, unknown>>,
  values: Map<string, readonly string[]>,
  problems: RequestProblem[],
): void {
  const take = (name: string, value: unknown): void => {
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (list.every((item) => typeof item === 'string')) values.set(name, list);
    else problems.push({ parameter: name, code: 'not_text', detail: 'Give text, or a list of texts.' });
  };
  for (const [name, value] of Object.entries(body)) {
    if (!isObject(value)) take(name, value);
    else for (const [key, inner] of Object.entries(value)) take(`${name}[${key}]`, inner);
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
