import { expect, test } from 'vitest';
import { InFlight } from '../../../../collectors/receiver/in-flight.ts';

test('requests are counted by cluster, and free when they leave', () => {
  const inFlight = new InFlight({ bytes: 10 });
  const first = inFlight.enterRequest('a', 1);
  expect(inFlight.enterRequest('a', 1)).toBeUndefined();
  expect(inFlight.enterRequest('b', 1)).toBeDefined();
  first?.();
  expect(inFlight.enterRequest('a', 1)).toBeDefined();
});

test('bytes are counted together; leaving twice frees once', () => {
  const inFlight = new InFlight({ bytes: 10 });
  const six = inFlight.enterBytes(6);
  const four = inFlight.enterBytes(4);
  expect(inFlight.enterBytes(1)).toBeUndefined();
  four?.();
  four?.();
  expect(inFlight.enterBytes(5)).toBeUndefined();
  six?.();
  expect(inFlight.enterBytes(10)).toBeDefined();
});
