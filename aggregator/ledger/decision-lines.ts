/**
 * Decisions as JSON lines, the form in which they leave one store and enter a replay: `metering decisions`
 * prints them, `metering replay --decisions FILE` reads them.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { parsePeriod, periodName } from '../../core/metering/period.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import { cutLines, cutSchema } from './cut.ts';
import { closeBodySchema, type Decision } from './decisions.ts';
import { erasureBodySchema } from './erasure/decision.ts';

const month = z.string().transform((name, context) => {
  const period = parsePeriod(name);
  if (period === undefined) context.addIssue({ code: 'custom', message: 'must be a month, such as 2026-10' });
  return period ?? 0;
});

const closeLine = closeBodySchema.extend({
  kind: z.literal('close'),
  period: month,
  cut: cutSchema,
  hash: z.string(),
  previousHash: z.string(),
});

const floorLine = z.strictObject({
  kind: z.enum(['floor', 'hours']),
  floor: z.iso.datetime().transform((text) => Date.parse(text)),
  cut: cutSchema,
});

const erasureLine = erasureBodySchema.extend({ kind: z.literal('erasure'), through: month, cut: cutSchema });

const lineSchema = z.discriminatedUnion('kind', [closeLine, floorLine, erasureLine]);

export function decisionLine(decision: Decision): string {
  const cut = cutLines(decision.cut);
  switch (decision.kind) {
    case 'floor':
    case 'hours':
      return JSON.stringify({ kind: decision.kind, floor: new Date(decision.floor).toISOString(), cut });
    case 'erasure': {
      const { through, samples } = decision;
      return JSON.stringify({ ...decision, through: periodName(through), samples: String(samples), cut });
    }
    case 'close': {
      // The place in this store's ledger means nothing elsewhere.
      const { upTo: _, ...rest } = decision;
      return JSON.stringify({ ...rest, period: periodName(decision.period), cut });
    }
  }
}

export function readDecisionLines(file: string): Decision[] {
  let lines: string[];
  try {
    lines = readFileSync(file, 'utf8').split('\n');
  } catch (cause) {
    throw new MeteringError('METER_INPUT_UNREADABLE', `${file} cannot be read; name the file of decisions`, {
      cause,
    });
  }
  return lines.flatMap((line, i) => (line.trim() === '' ? [] : [parseLine(line, `${file}:${i + 1}`)]));
}

function parseLine(line: string, where: string): Decision {
  try {
    const parsed = lineSchema.parse(JSON.parse(line));
    return parsed.kind === 'close' ? { ...parsed, upTo: 0n } : parsed;
  } catch (cause) {
    throw new MeteringError(
      'METER_INPUT_UNREADABLE',
      `${where} is not a decision as \`metering decisions\` prints it: ${line.slice(0, 120)}; ` +
        'export the file again',
      { cause },
    );
  }
}
