/** `GET /api/v1/meters`: the catalogue, as people and programs that read usage need it. */
import { z } from 'zod';

import { METERS, type MeterDefinition } from '../../core/metering/catalogue.ts';
import { endpoint } from './endpoint/endpoint.ts';

const meterSchema = z.strictObject({
  name: z.string(),
  description: z.string(),
  kind: z.string(),
  unit: z.string().meta({ description: 'What the integers of usage count.' }),
  presentedUnit: z.string(),
  baseUnitsPerPresentedUnit: z
    .string()
    .regex(/^\d+$/)
    .meta({ description: '`3600000000000` core-ns make one core-hour.' }),
  sourceMetrics: z.array(z.string()),
});

type MeterResource = Readonly<z.output<typeof meterSchema>>;

export const LIST_METERS = endpoint({
  method: 'GET',
  path: '/api/v1/meters',
  operationId: 'listMeters',
  capability: 'catalogue',
  tag: 'usage',
  summary: 'What is metered',
  description: 'Every meter with its base unit and how that is presented.',
  answers: {
    200: { description: 'The catalogue.', json: z.strictObject({ data: z.array(meterSchema) }) },
  },
  problems: [],
  answer: () => ({ json: { data: METERS.map(meterResource) } }),
});

function meterResource({
  name,
  description,
  kind,
  unit,
  presented,
  metrics,
}: MeterDefinition): MeterResource {
  return {
    name,
    description,
    kind,
    unit,
    presentedUnit: presented.unit,
    baseUnitsPerPresentedUnit: presented.baseUnits.toString(),
    sourceMetrics: [...metrics],
  };
}
