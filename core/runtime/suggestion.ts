/** Names further than this share of their length from what was written are no help. */
const LARGEST_DISTANCE_SHARE = 0.4;

/** ` (did you mean "x"?)` for the known name closest to what was written, or nothing if none is close. */
export function suggestion(written: string, known: readonly string[]): string {
  const ranked = known
    .map((name) => ({ name, distance: editDistance(written.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  if (best === undefined || best.distance > best.name.length * LARGEST_DISTANCE_SHARE) return '';
  return ` (did you mean "${best.name}"?)`;
}

/** Letters to add, drop, change or swap with their neighbour to make one name of the other. */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, index) => index)];
  const cell = (i: number, j: number): number => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const changed = cell(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? cell(i - 2, j - 2) + 1 : Infinity;
      row.push(Math.min(changed, swapped, cell(i - 1, j) + 1, cell(i, j - 1) + 1));
    }
  }
  return cell(a.length, b.length);
}
