/** `GET /api/v1/meters`: the catalogue, as people and programs that read usage need it. */
import type { FastifyInstance } from 'fastify';

import {
  METERS,
  type BaseUnit,
  type MeterDefinition,
  type MeterKind,
} from '../../core/metering/catalogue.ts';

interface MeterResource {
  readonly name: string;
  readonly description: string;
  readonly kind: MeterKind;
  /** What the integers of usage count. */
  readonly unit: BaseUnit;
  readonly presentedUnit: string;
  /** Base units in one presented unit, as a decimal string: 3600000000000 core-ns make one core-hour. */
  readonly baseUnitsPerPresentedUnit: string;
  readonly sourceMetrics: readonly string[];
}

export function registerMeters(app: FastifyInstance): void {
  const data = METERS.map(meterResource);
  app.get('/v1/meters', { config: { capability: 'catalogue' } }, () => ({ data }));
}

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
    sourceMetrics: metrics,
  };
}
