/**
 * The OpenAPI document against the API, by somebody else's judgement: schemathesis makes requests from the
 * document, good and bad, and holds every answer to what the document says. Real tokens, real store, with
 * a closed month of several tenants in it.
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { usageReader } from '../../aggregator/api/usage/remembering-reader.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import { AccountsBench } from '../support/accounts.ts';
import type { TestStore } from '../support/chdb.ts';
import { ClosedMonth } from '../support/closed-month.ts';
import { openFastStore } from '../support/pipeline.ts';
import { TokenServer } from '../support/token-server.ts';
import { guardedApi, type GuardedApi } from '../support/token-server-api.ts';

const SECONDS = 40;
/** Of a request that the document does not allow; a list of filters may make an address too long before it is looked at. */
const REFUSED = [400, 401, 404, 405, 406, 413, 415, 422, 429, 431];
const UNLIMITED = { perSecond: 1e6, burst: 1e6 };
const isInstalled = process.env['CI'] !== undefined || answers('schemathesis');

function answers(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

let testStore: TestStore;
let server: TokenServer;
let guarded: GuardedApi;
let directory: string;

beforeAll(async () => {
  if (!isInstalled) return;
  directory = await mkdtemp(join(tmpdir(), 'schemathesis-'));
  server = await TokenServer.start();
  testStore = await openFastStore();
  const { store } = testStore;
  const bench = new AccountsBench(store, ['north', 'south']);
  await new ClosedMonth().playOn(bench);
  const real = new SystemClock();
  guarded = guardedApi(server, {
    store,
    usageClock: { now: () => bench.clock.now(), sleep: (ms, signal) => real.sleep(ms, signal) },
    reader: usageReader({ queryTimeoutMs: 10_000 }, { store }),
    // As fast as it can be asked: that limits hold is not what is asked here.
    limits: { readAllRate: UNLIMITED, memberRate: UNLIMITED, deniedRate: UNLIMITED },
  });
  await guarded.api.start();
});

afterAll(async () => {
  if (!isInstalled) return;
  await guarded.api.stop();
  await testStore.dispose();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

interface Asking {
  readonly who: string;
  readonly token: () => Promise<string>;
  readonly refused: readonly number[];
}

const ASKING: readonly Asking[] = [
  { who: 'who may read all', token: () => server.serviceToken(), refused: REFUSED },
  {
    who: 'a tenant',
    token: () => server.memberToken(['north'], 'metering-billing'),
    // What is not for tenants is refused to them whatever they send.
    refused: [...REFUSED, 403],
  },
];

describe.skipIf(!isInstalled)('needs schemathesis: the document', () => {
  test.concurrent.each(ASKING)(
    `is what the API does for $who, as far as ${SECONDS} s of good and bad requests can tell`,
    async ({ who, token, refused }) => {
      const configuration = join(directory, `${who}.toml`);
      await writeFile(
        configuration,
        `[checks]\nnegative_data_rejection.expected-statuses = [${refused.join()}]\n`,
      );
      const run = promisify(execFile)(
        'schemathesis',
        [
          ...['--config-file', configuration],
          ...['run', `${guarded.api.url}/openapi.json`, '--header', `Authorization: Bearer ${await token()}`],
          // That a range ends after it begins, and the like, no schema can say: those requests are 400.
          ...['--exclude-checks', 'positive_data_acceptance'],
          ...['--phases', 'examples,coverage,fuzzing', '--max-time', String(SECONDS)],
          ...['--seed', '20260328', '--no-color', '--workers', '1', '--request-timeout', '40'],
        ],
        { cwd: directory, maxBuffer: 64 * 1024 ** 2 },
      );
      const { stdout, failed } = await run.then(
        ({ stdout }) => ({ stdout, failed: false }),
        (error: unknown) => ({ stdout: String((error as { stdout?: unknown }).stdout), failed: true }),
      );
      expect(failed, stdout).toBe(false);
      expect(stdout).toMatch(/Tested: +[1-9]/);
    },
    170_000,
  );
});
