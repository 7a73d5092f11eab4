/**
 * What parameters have to be together, which no schema of one of them can say. A rule is asked where all that
 * it looks at is right, whatever else is wrong: so a request is told everything at once, and nothing twice.
 *
 * Example: beside an unknown parameter an empty range is told as well; beside a `from` that is no time it is
 * not, for nobody knows whether it is empty.
 */
import type { TenantScope } from '../identity/access.ts';
import type { RequestProblem } from '../problem.ts';
import type { Reading } from './request.ts';

export interface Rule<Given, Deps = unknown> {
  /** The parameters that it looks at. */
  readonly of: readonly (keyof Given & string)[];
  readonly problem: (given: Given, context: RuleContext<Deps>) => RequestProblem | undefined;
}

export interface RuleContext<Deps> {
  readonly deps: Deps;
  readonly scope: TenantScope;
}

/** Every problem of what was read: of parameters by themselves, then of all together. */
export function problemsOf<Given, Deps>(
  readings: readonly Reading[],
  rules: readonly Rule<Given, Deps>[],
  context: RuleContext<Deps>,
): readonly RequestProblem[] {
  const alone = readings.flatMap((one) => (one.ok ? [] : one.problems));
  const right: object[] = readings.map((one) => (one.ok ? Object(one.value) : one.right) as object);
  const wrong = new Set(readings.flatMap((one) => (one.ok ? [] : one.wrong)));
  // Of what is wrong nothing is looked at, and the rest is as its schema gave it.
  const given = Object.assign({}, ...right) as Given;
  const together = rules
    .filter(({ of }) => !of.some((name) => wrong.has(name)))
    .map(({ problem }) => problem(given, context));
  return [...alone, ...together.filter((one) => one !== undefined)];
}
