/** Room on a disk, and whether it is enough: in ClickHouse a full one ends inserts and merges alike. */
import { statfs } from 'node:fs/promises';
import type { Finding } from './finding.ts';

/** Shares of the whole. Merges write a part anew beside the old one, so they need room of their own. */
const LITTLE_FREE = 0.15;
const TOO_LITTLE_FREE = 0.05;
const GIB = 1024 ** 3;

export interface Space {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Of the disk that holds a path; free is what this user may take. */
export async function spaceAt(path: string): Promise<Space> {
  const { bavail, blocks, bsize } = await statfs(path);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}

export function diskFinding(name: string, { freeBytes, totalBytes }: Space): Finding {
  const share = totalBytes === 0 ? 0 : freeBytes / totalBytes;
  const percent = `${Math.floor(share * 100)} %`;
  const seen = `${gib(freeBytes)} of ${gib(totalBytes)} GiB are free (${percent})`;
  if (share >= LITTLE_FREE) return { level: 'ok', name, seen };
  const level = share < TOO_LITTLE_FREE ? 'fail' : 'warn';
  return {
    level,
    name,
    seen,
    advice: 'make the disk larger, or keep less (rawRetentionMs, detailRetentionMs)',
  };
}

function gib(bytes: number): string {
  return (bytes / GIB).toFixed(1);
}
