/** Usage as the API gives it, in the lines that `metering replay` prints. */
import { METERS } from '../../core/metering/catalogue.ts';

interface Row {
  readonly windowStart: string;
  readonly value: string | null;
  readonly tenant: string;
  readonly groupBy: Readonly<Record<string, string>>;
}

const GROUPS = ['tenant', 'cluster', 'namespace'].map((group) => `groupBy=${group}`).join('&');

/** `hour,tenant,cluster,namespace,meter,quantity`, sorted, without hours of nothing. */
export async function usageOverHttp(api: string, range = ''): Promise<readonly string[]> {
  const rows: string[] = [];
  for (const { name } of METERS) {
    const response = await fetch(`${api}/api/v1/meters/${name}/query?windowSize=HOUR&${GROUPS}${range}`);
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    const { data } = (await response.json()) as { data: Row[] };
    for (const { windowStart, value, tenant, groupBy } of data) {
      if (value === null || value === '0') continue;
      const hour = windowStart.replace('.000Z', 'Z');
      rows.push([hour, tenant, groupBy['cluster'], groupBy['namespace'], name, value].join());
    }
  }
  return rows.sort();
}

/** The same columns of what `metering replay` printed. */
export function usageReplayed(csv: string): readonly string[] {
  const [, ...lines] = csv.trim().split('\n');
  return lines.map((line) => line.split(',').slice(0, 6).join()).sort();
}
