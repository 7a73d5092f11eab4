/** What a role says of itself at `/readyz`. */
export interface Readiness {
  readonly isReady: boolean;
  readonly checks: readonly { readonly name: string; readonly ready: boolean; readonly detail: string }[];
}

const PATIENCE_MS = 5_000;

/** Undefined while it does not answer. */
export async function readinessOf(ops: string): Promise<Readiness | undefined> {
  try {
    const answer = await fetch(`${ops}/readyz`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    const { checks } = (await answer.json()) as Pick<Readiness, 'checks'>;
    return { isReady: answer.status === 200, checks };
  } catch {
    return undefined;
  }
}

/** Whether this process has the right to append to the ledger. */
export function writesLedger(readiness: Readiness | undefined): boolean {
  const ledger = readiness?.checks.find(({ name }) => name === 'ledger');
  return ledger?.detail.startsWith('this process writes') === true;
}
