/** A page in the Prometheus text format 0.0.4: families one after the other, each with its rows together. */
export class Exposition {
  static readonly contentType = 'text/plain; version=0.0.4; charset=utf-8';

  #text = '';
  #name = '';

  family(name: string, type: 'counter' | 'gauge' | 'histogram', help: string): this {
    this.#name = name;
    this.#text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    return this;
  }

  /** A row of the family; `part` is the suffix of a histogram's row. `labels` are rendered, '' = none. */
  row(labels: string, value: bigint | number | string, t?: number, part = ''): void {
    const braces = labels === '' ? '' : `{${labels}}`;
    this.#text += `${this.#name}${part}${braces} ${value}${t === undefined ? '' : ` ${t}`}\n`;
  }

  toString(): string {
    return this.#text;
  }
}

/** A whole number of 10^-places as a decimal: (1_500_000_000n, 9) is 1.5. Exact, unlike a division. */
export function decimal(amount: bigint, places: number): string {
  const digits = String(amount).padStart(places + 1, '0');
  const fraction = digits.slice(-places).replace(/0+$/, '');
  return fraction === '' ? digits.slice(0, -places) : `${digits.slice(0, -places)}.${fraction}`;
}
