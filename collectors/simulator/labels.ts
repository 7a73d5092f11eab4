/** Label names and values of a row, in the order they are shown. */
export type Labels = Readonly<Record<string, string>>;

/** As the text format writes them between the braces. An empty value is shown, and means an absent label. */
export function renderLabels(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escapeValue(value)}"`)
    .join(',');
}

function escapeValue(value: string): string {
  if (!/[\\"\n]/.test(value)) return value;
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
