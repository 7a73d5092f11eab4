/**
 * Usage by the minute, which is not kept: made from samples while somebody waits for it. In: whose usage may
 * be read, and a range of some hours. Out: a reader of it for as long as the answer is being made, or why
 * there is none. Bounded in hours, in samples, in time and in how many run at once; nothing is written.
 */
import { HOUR_MS } from '../../../core/metering/hour.ts';
import { refusal, type Refusal } from '../endpoint/endpoint.ts';
import { instantText } from '../endpoint/parameters.ts';
import type { MinutesConfig } from '../limits/config.ts';
import { BUSY_RETRY_SECONDS, type OnDemand } from '../limits/on-demand.ts';
import type { RequestProblem } from '../problem.ts';
import type { UsageReader } from '../usage-reader.ts';
import { MinuteReader } from './minute-reader.ts';
import { planMinutes, type MinutesAsked } from './plan.ts';

export interface Minutes {
  /** The longest range. */
  readonly maxRangeMs: number;
  answer<Answer>(
    asked: MinutesAsked,
    needs: MinutesNeeds,
    tell: (minutes: UsageReader) => Promise<Answer>,
  ): Promise<Answer | Refusal>;
}

interface MinutesNeeds {
  /** Of stored usage. */
  readonly reader: UsageReader;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal?: AbortSignal;
}

export class StoreMinutes implements Minutes {
  readonly #config: MinutesConfig;
  readonly #onDemand: OnDemand;

  constructor(config: MinutesConfig, onDemand: OnDemand) {
    this.#config = config;
    this.#onDemand = onDemand;
  }

  get maxRangeMs(): number {
    return this.#config.rangeHours * HOUR_MS;
  }

  async answer<Answer>(
    asked: MinutesAsked,
    { reader, signal }: MinutesNeeds,
    tell: (minutes: UsageReader) => Promise<Answer>,
  ): Promise<Answer | Refusal> {
    const answer = await this.#onDemand.run(async (demand) => {
      const standing = await reader.standing(asked.scope);
      const { maxSamples } = this.#config;
      const planned = await planMinutes(demand.store, asked, { ...standing, maxSamples });
      if (planned.ok)
        return await tell(new MinuteReader({ ...demand, reader, standing, plan: planned.plan }));
      return invalid(planned.keptFrom === undefined ? tooMuch() : notKept(planned.keptFrom));
    }, signal);
    if (answer !== 'busy') return answer;
    const detail = 'As many answers by the minute are being made as may. Ask again in a moment.';
    return refusal('METER_OVERLOADED', { detail, retryAfterSeconds: BUSY_RETRY_SECONDS });
  }
}

function invalid(problem: RequestProblem): Refusal {
  return refusal('METER_REQUEST_INVALID', { detail: '', problems: [problem] });
}

function notKept(fromMs: number): RequestProblem {
  const why = 'Minutes are made from samples, of months that are not closed, as long as they are kept';
  const detail = `${why}: here from ${instantText(fromMs)} on. Before that take HOUR.`;
  return { parameter: 'from', code: 'minutes_not_kept', detail };
}

function tooMuch(): RequestProblem {
  const detail =
    'Too many samples lie behind it: shorten the range, or name tenants, clusters or namespaces.';
  return { parameter: 'from', code: 'too_many_samples', detail };
}
