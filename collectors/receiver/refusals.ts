/** What was not taken of a request, by reason, with the first of each: for the sender's log, and for ours. */
export type RefusalReason =
  | 'bad_label'
  | 'exemplar'
  | 'future'
  | 'histogram'
  | 'label_too_long'
  | 'no_name'
  | 'no_time'
  | 'too_large'
  | 'too_many_labels'
  | 'too_old'
  | 'wrong_cluster';

/** What each says to the person who reads the sender's log. */
const MEANINGS: Readonly<Record<RefusalReason, string>> = {
  bad_label: 'a label is no UTF-8, has no name, comes twice or refers to no symbol',
  exemplar: 'exemplars are not metered; do not send them',
  future: 'the time is ahead of the clock here',
  histogram: 'native histograms are not metered; do not send them',
  label_too_long: 'a label is longer than allowed',
  no_name: 'there is no metric name',
  no_time: 'there is no time after 1970',
  too_large: 'a point with its resource is larger than a record',
  too_many_labels: 'there are more labels than allowed',
  too_old: 'the time is longer ago than samples are kept',
  wrong_cluster: 'another cluster is named than the token belongs to',
};

const MAX_EXAMPLE_CHARACTERS = 120;

interface Refusal {
  count: number;
  readonly example: string;
}

export class Refusals {
  readonly #byReason = new Map<RefusalReason, Refusal>();
  #total = 0;

  get total(): number {
    return this.#total;
  }

  add(reason: RefusalReason, count: number, example: () => string): void {
    if (count === 0) return;
    this.#total += count;
    const known = this.#byReason.get(reason);
    if (known !== undefined) known.count += count;
    else this.#byReason.set(reason, { count, example: printable(example()) });
  }

  counts(): readonly { readonly reason: RefusalReason; readonly count: number }[] {
    return [...this.#byReason].map(([reason, { count }]) => ({ reason, count }));
  }

  describe(): string {
    return [...this.#byReason]
      .map(([reason, { count, example }]) => `${count} ${reason} (${MEANINGS[reason]}; such as ${example})`)
      .join(', ');
  }
}

/** Names come from afar: nothing in them may look like more than one line. */
function printable(text: string): string {
  return JSON.stringify(text.slice(0, MAX_EXAMPLE_CHARACTERS).toWellFormed());
}
