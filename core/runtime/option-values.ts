/** Values of options, as numbers; one that is none says what it is to be. */
import { FastClock, SystemClock, type Clock } from './clock.ts';
import { MeteringError } from './errors.ts';

const MAX_SPEED = 1_000;
const MAX_PORT = 65_535;

/** The machine's time, or one that runs so many times as fast from now on. */
export function clockAt(speed = '1'): Clock {
  const factor = Number(speed);
  if (!(factor > 0 && factor <= MAX_SPEED)) {
    throw new MeteringError(
      'METER_CONFIG_INVALID',
      `--speed is a number above 0 and at most ${MAX_SPEED}, not ${speed}`,
    );
  }
  const real = new SystemClock();
  return factor === 1 ? real : new FastClock({ startMs: real.now(), speed: factor });
}

/** 0 takes any free one. */
export function portOf(port = '8080'): number {
  const number = Number(port);
  if (Number.isInteger(number) && number >= 0 && number <= MAX_PORT) return number;
  throw new MeteringError('METER_CONFIG_INVALID', `--port is a number from 0 to ${MAX_PORT}, not ${port}`);
}
