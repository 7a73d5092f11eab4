import { info, warn } from './fact-definition.ts';

const HELD = 'gh0stmeter_writer_held_number';
const HELD_HELP = '1 where this process writes the ledger, else 0: one of all that share a store';

/** What processes that share a store say about who does what. */
export const coordinationFacts = {
  membersChanged: info<{ members: number }>('other processes roll up as well, or no longer').gauge(
    'gh0stmeter_members_number',
    'Processes that share the units to roll up, as this one sees it',
    { field: 'members' },
  ),
  writerTaken: info<{ epoch: bigint; held: number }>('this process writes the ledger from now on')
    .counter('gh0stmeter_writer_takes_total', 'Times this process began to write the ledger')
    .gauge(HELD, HELD_HELP, { field: 'held' }),
  writerWaiting: info<{ holder: string; held: number }>('another process writes the ledger').gauge(
    HELD,
    HELD_HELP,
    { field: 'held' },
  ),
  writerReleased: info<{ epoch: bigint; held: number }>('the ledger is left to another process').gauge(
    HELD,
    HELD_HELP,
    { field: 'held' },
  ),
  writerLost: warn<{ epoch: bigint; reason: string; held: number }>(
    'this process writes the ledger no longer; what it was about to append was refused',
    'ledger-not-written',
  )
    .counter('gh0stmeter_writer_losses_total', 'Times this process stopped writing without having let go', {
      labels: ['reason'],
    })
    .gauge(HELD, HELD_HELP, { field: 'held' }),
};
