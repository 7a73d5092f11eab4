import { type ClusterSimulator } from '../../../../collectors/simulator/simulator.ts';

export interface PageRow {
  readonly name: string;
  /** Without empty ones: an empty label is an absent one. */
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  readonly t: number | null;
  /** Name and labels as they stand on the page. */
  readonly series: string;
}

const ROW = /^([a-z_]+)(?:\{(.*)\})? ([0-9.]+)(?: (\d+))?$/;
const LABEL = /([a-z0-9_]+)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/gy;

/** The rows of a page; a line that is none and no comment either is an error. */
export function rowsOf(text: string): PageRow[] {
  const lines = text.split('\n');
  if (lines.pop() !== '') throw new Error('a page ends with a line feed');
  return lines.filter((line) => !/^# (HELP|TYPE) [a-z_]+ \S/.test(line)).map(rowOf);
}

function rowOf(line: string): PageRow {
  const match = ROW.exec(line);
  if (match === null) throw new Error(`no row: ${line}`);
  const [, name = '', rendered = '', value, t] = match;
  const labels: Record<string, string> = {};
  let length = 0;
  for (const [whole, label = '', text = ''] of rendered.matchAll(LABEL)) {
    length += whole.length;
    if (text !== '') labels[label] = text;
  }
  if (length !== rendered.length) throw new Error(`no labels: ${line}`);
  const series = `${name}{${rendered}}`;
  return { name, labels, value: Number(value), t: t === undefined ? null : Number(t), series };
}

/** The rows of a path now, or null while its target is down. */
export function scrape(simulator: ClusterSimulator, path: string): PageRow[] | null {
  const page = simulator.page(path);
  if (page.kind === 'unknown') throw new Error(`no page at ${path}`);
  return page.kind === 'page' ? rowsOf(page.text) : null;
}
