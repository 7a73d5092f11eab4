/**
 * A directory of `.alloy` files as one configuration, which is how Alloy loads it, and what is wrong with it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  COMPONENTS,
  FUNCTIONS,
  SETTINGS,
  type BlockShape,
  type ComponentShape,
  type ValueType,
} from './components.ts';
import { parseAlloy, type Block, type Expression } from './parser.ts';

export interface Component {
  readonly file: string;
  readonly block: Block;
}

export type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };

export class Configuration {
  /** By address: `prometheus.relabel.usage`. */
  readonly components: ReadonlyMap<string, Component>;
  readonly problems: readonly string[];

  constructor(files: ReadonlyMap<string, string>) {
    const blocks = [...files].flatMap(([file, text]) => parseAlloy(text).map((block) => ({ file, block })));
    const components = new Map<string, Component>();
    const problems: string[] = [];
    const settings = new Set<string>();
    for (const { file, block } of blocks) {
      const where = `${file}:${block.line}`;
      const { name, label } = block;
      if (name in SETTINGS) {
        if (settings.has(name) || label !== undefined)
          problems.push(`${where} ${name} has a label, or a twin`);
        settings.add(name);
      } else if (!(name in COMPONENTS)) problems.push(`${where} unknown component ${name}`);
      else if (label === undefined) problems.push(`${where} ${name} has no label`);
      else if (components.has(`${name}.${label}`)) problems.push(`${where} ${name}.${label} is there twice`);
      else components.set(`${name}.${label}`, { file, block });
    }
    this.components = components;
    this.problems = [
      ...problems,
      ...blocks.flatMap(({ file, block }) => {
        const shape = COMPONENTS[block.name] ?? SETTINGS[block.name];
        return shape === undefined ? [] : this.#check(file, block, shape);
      }),
    ];
  }

  static load(directory: string): Configuration {
    const names = readdirSync(directory).filter((name) => name.endsWith('.alloy'));
    return new Configuration(
      new Map(names.sort().map((name) => [name, readFileSync(join(directory, name), 'utf8')])),
    );
  }

  component(address: string): Block {
    const found = this.components.get(address);
    if (found === undefined) throw new Error(`there is no ${address}`);
    return found.block;
  }

  /** Every address that starts with `name` and a dot. */
  addressesOf(name: string): string[] {
    return [...this.components].filter(([, { block }]) => block.name === name).map(([address]) => address);
  }

  #check(file: string, block: Block, shape: BlockShape): string[] {
    const at = (line: number, what: string): string => `${file}:${line} ${block.name}: ${what}`;
    const known = shape.attributes ?? {};
    const given = block.attributes.flatMap(({ name, value, line }) => {
      const type = known[name];
      if (type === undefined) return [at(line, `unknown argument ${name}`)];
      const problem = this.#mistyped(value, bare(type));
      return problem === undefined ? [] : [at(line, `${name} ${problem}`)];
    });
    const missing = Object.keys(known)
      .filter((name) => known[name]?.startsWith('!') === true)
      .filter((name) => !block.attributes.some((attribute) => attribute.name === name))
      .concat((shape.required ?? []).filter((name) => !block.blocks.some((inner) => inner.name === name)))
      .map((name) => at(block.line, `${name} is missing`));
    const inner = block.blocks.flatMap((child) => {
      const childShape = shape.blocks?.[child.name];
      if (childShape === undefined) return [at(child.line, `unknown block ${child.name}`)];
      return this.#check(file, child, childShape);
    });
    const rule = block.name === 'rule' ? misruled(block) : undefined;
    return [...given, ...missing, ...(rule === undefined ? [] : [at(block.line, rule)]), ...inner];
  }

  /** Undefined, or what is wrong with the value. */
  #mistyped(value: Expression, type: ValueType): string | undefined {
    switch (value.kind) {
      case 'literal':
        return isLiteralOf(value.value, type) ? undefined : `is no ${type}`;
      case 'sum':
        return this.#mistyped(value.left, type) ?? this.#mistyped(value.right, type);
      case 'map':
        return type === 'map' || type === 'targets'
          ? this.#within(value.entries.map(([, item]) => item))
          : `is a map`;
      case 'list':
        return this.#mistypedList(value.items, type);
      case 'call':
        if (FUNCTIONS[value.path] === undefined) return `calls ${value.path}, which is unknown`;
        return FUNCTIONS[value.path] === type ? undefined : `is no ${type}`;
      case 'path':
        return this.#misreferred(value.path, type);
    }
  }

  #mistypedList(items: readonly Expression[], type: ValueType): string | undefined {
    if (type === 'strings') return this.#within(items);
    if (!['targets', 'metrics', 'logs', 'otel'].includes(type)) return 'is a list';
    return items.map((item) => this.#mistyped(item, type)).find((problem) => problem !== undefined);
  }

  #within(items: readonly Expression[]): string | undefined {
    return items.map((item) => this.#mistyped(item, 'string')).find((problem) => problem !== undefined);
  }

  #misreferred(path: string, type: ValueType): string | undefined {
    const dot = path.lastIndexOf('.');
    const component = this.components.get(path.slice(0, dot));
    if (component === undefined) return `refers to ${path}, which is not there`;
    const shape: ComponentShape | undefined = COMPONENTS[component.block.name];
    const exported = shape?.exports?.[path.slice(dot + 1)];
    if (exported === undefined) return `refers to ${path}, which is not exported`;
    return exported === type ? undefined : `refers to ${path}, which is no ${type}`;
  }
}

interface RuleShape {
  readonly takes: readonly string[];
  readonly needs: readonly string[];
}

/** What each action of a rule takes beside itself, and what it cannot do without. */
const ACTIONS: Readonly<Record<string, RuleShape>> = {
  replace: {
    takes: ['source_labels', 'separator', 'regex', 'target_label', 'replacement'],
    needs: ['target_label'],
  },
  keep: { takes: ['source_labels', 'separator', 'regex'], needs: ['source_labels', 'regex'] },
  drop: { takes: ['source_labels', 'separator', 'regex'], needs: ['source_labels', 'regex'] },
  keepequal: { takes: ['source_labels', 'target_label'], needs: ['source_labels', 'target_label'] },
  dropequal: { takes: ['source_labels', 'target_label'], needs: ['source_labels', 'target_label'] },
  labeldrop: { takes: ['regex'], needs: ['regex'] },
  labelkeep: { takes: ['regex'], needs: ['regex'] },
};

/** Undefined, or why a rule would be refused. */
function misruled({ attributes }: Block): string | undefined {
  const action = attributes.find(({ name }) => name === 'action')?.value ?? {
    kind: 'literal',
    value: 'replace',
  };
  const name = action.kind === 'literal' ? String(action.value) : '';
  const shape = ACTIONS[name];
  if (shape === undefined) return `the action ${name} is none that is used here`;
  const given = attributes.map((attribute) => attribute.name).filter((attribute) => attribute !== 'action');
  const foreign = given.filter((attribute) => !shape.takes.includes(attribute));
  const missing = shape.needs.filter((attribute) => !given.includes(attribute));
  if (foreign.length > 0) return `${name} takes no ${foreign.join(', ')}`;
  return missing.length > 0 ? `${name} needs ${missing.join(', ')}` : undefined;
}

function bare(type: ValueType | `!${ValueType}`): ValueType {
  return type.replace('!', '') as ValueType;
}

function isLiteralOf(value: string | number | boolean | null, type: ValueType): boolean {
  if (type === 'duration') return typeof value === 'string' && /^(\d+(\.\d+)?(ms|s|m|h))+$/.test(value);
  if (type === 'bool') return typeof value === 'boolean';
  return type === 'string' || type === 'number' ? typeof value === type : false;
}
