/**
 * The same questions of several who may read different things, asked of one API one after the other: what one
 * of them was told may not become what another is told. Each answer is held against that of an API that has
 * never answered anybody else.
 */
import { expect } from 'vitest';
import type { GuardedApi } from './token-server-api.ts';

export interface Question {
  readonly url: string;
  readonly accept: string;
}

/** Tokens by the name of who has them. */
export type Askers<Name extends string> = Readonly<Record<Name, string>>;

export class AskedInTurn<Name extends string> {
  readonly #askers: Askers<Name>;
  readonly #questions: readonly Question[];
  /** Over the same store each time, and nothing remembered. */
  readonly #fresh: () => GuardedApi;
  readonly #alone = new Map<Name, readonly string[]>();

  constructor(askers: Askers<Name>, questions: readonly Question[], fresh: () => GuardedApi) {
    this.#askers = askers;
    this.#questions = questions;
    this.#fresh = fresh;
  }

  get #names(): readonly Name[] {
    return Object.keys(this.#askers) as Name[];
  }

  /** Each by an API of its own. */
  async askAlone(): Promise<void> {
    for (const name of this.#names) {
      this.#alone.set(
        name,
        await this.#with(async (api) => {
          const answers: string[] = [];
          for (const question of this.#questions) answers.push(await this.#ask(api, name, question));
          return answers;
        }),
      );
    }
  }

  /** Of each question, what everybody was told alone. */
  get told(): readonly { readonly question: Question; readonly answers: Readonly<Record<Name, string>> }[] {
    return this.#questions.map((question, i) => {
      const answers = this.#names.map((name) => [name, this.#alone.get(name)?.[i] ?? '']);
      return { question, answers: Object.fromEntries(answers) as Record<Name, string> };
    });
  }

  async expectSameInOrder(names: readonly Name[]): Promise<void> {
    await this.#with(async (api) => {
      for (const [i, question] of this.#questions.entries()) {
        for (const name of names) this.#expectTold(await this.#ask(api, name, question), { name, i, names });
      }
    });
  }

  async expectSameAtOnce(names: readonly Name[]): Promise<void> {
    await this.#with(async (api) => {
      for (const [i, question] of this.#questions.entries()) {
        const told = await Promise.all(names.map((name) => this.#ask(api, name, question)));
        for (const [at, name] of names.entries()) this.#expectTold(told[at] ?? '', { name, i, names });
      }
    });
  }

  #expectTold(
    told: string,
    place: { readonly name: Name; readonly i: number; readonly names: readonly Name[] },
  ): void {
    const { name, i, names } = place;
    const asked = `${names.join(', ')}: ${name} asks for ${JSON.stringify(this.#questions[i])}`;
    expect(told, asked).toBe(this.#alone.get(name)?.[i]);
  }

  async #ask({ api }: GuardedApi, name: Name, { url, accept }: Question): Promise<string> {
    const headers = { authorization: `Bearer ${this.#askers[name]}`, accept, 'x-request-id': 'one' };
    const { statusCode, headers: given, body } = await api.app.inject({ url, headers });
    const named = ['content-type', 'content-length', 'etag', 'link', 'cache-control'];
    return JSON.stringify([statusCode, named.map((one) => given[one]), body]);
  }

  async #with<Result>(work: (api: GuardedApi) => Promise<Result>): Promise<Result> {
    const guarded = this.#fresh();
    try {
      return await work(guarded);
    } finally {
      await guarded.api.stop();
    }
  }
}

/** All orders of some. */
export function ordersOf<Name>(names: readonly Name[]): (readonly Name[])[] {
  if (names.length < 2) return [names];
  return names.flatMap((first) =>
    ordersOf(names.filter((name) => name !== first)).map((rest) => [first, ...rest]),
  );
}
