/**
 * Relabelling as Prometheus does it (model/relabel/relabel.go), on which `prometheus.relabel` and
 * `discovery.relabel` stand. Expressions are RE2 and match the whole value; the constructs that RE2 lacks are
 * refused, so that nothing passes here which Alloy would not start with.
 */
import { createHash } from 'node:crypto';

export type Labels = ReadonlyMap<string, string>;

export interface RelabelRule {
  readonly action: RelabelAction;
  readonly sourceLabels: readonly string[];
  readonly separator: string;
  readonly regex: string;
  readonly modulus: number;
  readonly targetLabel: string;
  readonly replacement: string;
}

export type RelabelAction =
  | 'replace'
  | 'keep'
  | 'drop'
  | 'keepequal'
  | 'dropequal'
  | 'hashmod'
  | 'labelmap'
  | 'labeldrop'
  | 'labelkeep'
  | 'lowercase'
  | 'uppercase';

export const RULE_DEFAULTS: RelabelRule = {
  action: 'replace',
  sourceLabels: [],
  separator: ';',
  regex: '(.*)',
  modulus: 0,
  targetLabel: '',
  replacement: '$1',
};

/** Undefined: dropped, or without a label left. */
export function relabel(labels: Labels, rules: readonly RelabelRule[]): Labels | undefined {
  const result = new Map([...labels].filter(([, value]) => value !== ''));
  for (const rule of rules) {
    if (!apply(rule, result)) return undefined;
  }
  return result.size === 0 ? undefined : result;
}

/** False: the row is dropped. */
function apply(rule: RelabelRule, labels: Map<string, string>): boolean {
  const { action, targetLabel } = rule;
  const value = rule.sourceLabels.map((name) => labels.get(name) ?? '').join(rule.separator);
  const pattern = anchored(rule.regex);
  switch (action) {
    case 'keep':
      return pattern.test(value);
    case 'drop':
      return !pattern.test(value);
    case 'keepequal':
      return value === (labels.get(targetLabel) ?? '');
    case 'dropequal':
      return value !== (labels.get(targetLabel) ?? '');
    case 'replace':
      replace(rule, value, labels);
      return true;
    case 'lowercase':
      set(labels, targetLabel, value.toLowerCase());
      return true;
    case 'uppercase':
      set(labels, targetLabel, value.toUpperCase());
      return true;
    case 'hashmod':
      set(labels, targetLabel, String(hashOf(value) % BigInt(rule.modulus)));
      return true;
    case 'labelmap':
      for (const [name, own] of [...labels]) {
        const match = pattern.exec(name);
        if (match !== null) set(labels, expanded(rule.replacement, match), own);
      }
      return true;
    case 'labeldrop':
    case 'labelkeep':
      for (const name of [...labels.keys()]) {
        if (pattern.test(name) === (action === 'labeldrop')) labels.delete(name);
      }
      return true;
  }
}

function replace(rule: RelabelRule, value: string, labels: Map<string, string>): void {
  const match = anchored(rule.regex).exec(value);
  if (match === null) return;
  const target = expanded(rule.targetLabel, match);
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(target)) set(labels, target, expanded(rule.replacement, match));
}

/** An empty value and none are the same. */
function set(labels: Map<string, string>, name: string, value: string): void {
  if (value === '') labels.delete(name);
  else labels.set(name, value);
}

/** The last eight bytes of the MD5, as a number. */
function hashOf(value: string): bigint {
  return createHash('md5').update(value).digest().readBigUInt64BE(8);
}

/** `$1` and `${1}`, as Go's regexp expands them; a group that took no part is empty. */
function expanded(template: string, match: RegExpExecArray): string {
  return template.replaceAll(/\$(?:\{(\w+)\}|(\w+)|\$)/g, (whole, braced?: string, bare?: string) => {
    const name = braced ?? bare;
    if (name === undefined) return whole === '$$' ? '$' : whole;
    return (/^\d+$/.test(name) ? match[Number(name)] : match.groups?.[name]) ?? '';
  });
}

const NOT_RE2 = /\(\?(=|!|<=|<!)|\\[1-9]/;
const compiled = new Map<string, RegExp>();

export function anchored(regex: string): RegExp {
  let pattern = compiled.get(regex);
  if (pattern === undefined) {
    if (NOT_RE2.test(regex)) throw new Error(`${regex} is no RE2: neither looks around nor back`);
    pattern = new RegExp(`^(?:${regex})$`, 's');
    compiled.set(regex, pattern);
  }
  return pattern;
}
