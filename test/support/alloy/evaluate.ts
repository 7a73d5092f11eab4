/** Values of a configuration under an environment, and targets and rules out of them. */
import type { Configuration, Value } from './configuration.ts';
import type { Block, Expression } from './parser.ts';
import { relabel, RULE_DEFAULTS, type Labels, type RelabelAction, type RelabelRule } from './relabel.ts';

export type Environment = Readonly<Record<string, string>>;

/**
 * A reference to another component's export stays its address: `{ ref: "prometheus.relabel.usage.receiver"
 * }`.
 */
export function evaluate(expression: Expression, env: Environment): Value {
  switch (expression.kind) {
    case 'literal':
      return expression.value;
    case 'list':
      return expression.items.map((item) => evaluate(item, env));
    case 'map':
      return Object.fromEntries(expression.entries.map(([key, value]) => [key, evaluate(value, env)]));
    case 'path':
      return { ref: expression.path };
    case 'sum':
      return textOf(evaluate(expression.left, env)) + textOf(evaluate(expression.right, env));
    case 'call':
      return call(
        expression.path,
        expression.args.map((arg) => evaluate(arg, env)),
        env,
      );
  }
}

function call(path: string, args: readonly Value[], env: Environment): Value {
  const [first = '', ...others] = args.map(textOf);
  switch (path) {
    case 'sys.env':
      return env[first] ?? '';
    case 'coalesce':
      return [first, ...others].find((value) => value !== '') ?? '';
    case 'string.split':
      return first.split(others[0] ?? '');
    case 'string.format':
      return others.reduce((text, value) => text.replace('%s', () => value), first);
    default:
      throw new Error(`no function ${path}`);
  }
}

function textOf(value: Value): string {
  if (typeof value !== 'string') throw new Error(`${JSON.stringify(value)} is no string`);
  return value;
}

/** An argument, or undefined where the block leaves it to the default. */
export function argument(block: Block, name: string, env: Environment): Value | undefined {
  const found = block.attributes.find((attribute) => attribute.name === name);
  return found === undefined ? undefined : evaluate(found.value, env);
}

export function text(block: Block, name: string, env: Environment, otherwise = ''): string {
  const value = argument(block, name, env);
  return value === undefined ? otherwise : textOf(value);
}

/** Addresses in a list of references, without what they export. */
export function referred(block: Block, name: string, env: Environment): string[] {
  const value = argument(block, name, env) ?? [];
  const items: readonly Value[] = Array.isArray(value) ? (value as readonly Value[]) : [value];
  return items.map((item) => {
    const { ref } = item as { readonly ref: string };
    return ref.slice(0, ref.lastIndexOf('.'));
  });
}

export function rulesOf(block: Block, env: Environment): RelabelRule[] {
  return block.blocks
    .filter(({ name }) => name === 'rule')
    .map((rule) => ({
      action: text(rule, 'action', env, RULE_DEFAULTS.action) as RelabelAction,
      sourceLabels: (argument(rule, 'source_labels', env) ?? RULE_DEFAULTS.sourceLabels) as readonly string[],
      separator: text(rule, 'separator', env, RULE_DEFAULTS.separator),
      regex: text(rule, 'regex', env, RULE_DEFAULTS.regex),
      modulus: (argument(rule, 'modulus', env) ?? RULE_DEFAULTS.modulus) as number,
      targetLabel: text(rule, 'target_label', env, RULE_DEFAULTS.targetLabel),
      replacement: text(rule, 'replacement', env, RULE_DEFAULTS.replacement),
    }));
}

/** What a discovery finds is given: by the address of its component. */
export type Discovered = Readonly<Record<string, readonly Labels[]>>;

/** The targets that a component scrapes or relabels. */
export function targetsOf(
  configuration: Configuration,
  block: Block,
  { env, discovered }: { readonly env: Environment; readonly discovered: Discovered },
): Labels[] {
  const value = argument(block, 'targets', env);
  if (Array.isArray(value)) {
    const literal = value as readonly Readonly<Record<string, string>>[];
    return literal.map((target) => new Map(Object.entries(target)));
  }
  return referred(block, 'targets', env).flatMap((address) => {
    if (discovered[address] !== undefined) return [...discovered[address]];
    const source = configuration.component(address);
    const rules = rulesOf(source, env);
    return targetsOf(configuration, source, { env, discovered }).flatMap(
      (target) => relabel(target, rules) ?? [],
    );
  });
}
