/** One topic per cluster: collectors append to it, aggregators read whose it is from its name. */
const PREFIX = 'usage.';

export function usageTopic(cluster: string): string {
  return `${PREFIX}${cluster}`;
}

export function clusterOfUsageTopic(topic: string): string {
  return topic.slice(PREFIX.length);
}

export function isUsageTopic(topic: string): boolean {
  return topic.startsWith(PREFIX);
}
