import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { uncompressSnappy } from '../../../../core/compression/snappy-block.ts';
import { snappy } from '../../../support/remote-write.ts';

const CORRUPT = { ok: false, reason: 'corrupt' };
const MIB = 1024 * 1024;

function block(...bytes: readonly number[]): Uint8Array {
  return Uint8Array.from(bytes);
}

function contentOf(packed: Uint8Array): string {
  const result = uncompressSnappy(packed, MIB);
  return result.ok ? result.bytes.toString('latin1') : result.reason;
}

describe('a block', () => {
  it('gives back what another library packed', () => {
    const text = fc.array(fc.constantFrom('aaaa', 'abcabc', 'x', '\0'.repeat(70), 'kubelet'), {
      maxLength: 300,
    });
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 5_000 }),
      text.map((parts) => Buffer.from(parts.join(''))),
    );
    fc.assert(
      fc.property(bytes, (content) => {
        expect(uncompressSnappy(snappy(content), 2 * MIB)).toEqual({ ok: true, bytes: Buffer.from(content) });
      }),
    );
  });

  it.each([
    ['a literal', [5, 0x10, 0x68, 0x65, 0x6c, 0x6c, 0x6f], 'hello'],
    ['a literal whose length follows in one byte', [2, 0xf0, 1, 0x61, 0x62], 'ab'],
    ['a literal whose length follows in four', [2, 0xfc, 1, 0, 0, 0, 0x61, 0x62], 'ab'],
    ['a copy with an offset of one byte', [6, 0x04, 0x61, 0x62, 0x01, 2], 'ababab'],
    ['a copy with an offset of two', [5, 0x04, 0x61, 0x62, 0x0a, 2, 0], 'ababa'],
    ['a copy with an offset of four', [5, 0x04, 0x61, 0x62, 0x0b, 1, 0, 0, 0], 'abbbb'],
    ['a copy that repeats what it is writing', [6, 0x00, 0x61, 0x12, 1, 0], 'aaaaaa'],
    ['nothing', [0], ''],
  ])('may hold %s', (_, bytes, content) => {
    expect(contentOf(block(...bytes))).toBe(content);
  });

  it.each([
    ['without a length', []],
    ['whose length does not end', [0x80, 0x80, 0x80, 0x80, 0x80, 0x01]],
    ['whose length is beyond 32 bits', [0xff, 0xff, 0xff, 0xff, 0x7f]],
    ['that holds less than it announces', [5, 0x0c, 0x68, 0x65, 0x6c, 0x6c]],
    ['that holds more than it announces', [4, 0x10, 0x68, 0x65, 0x6c, 0x6c, 0x6f]],
    ['that cannot hold what it announces', [0xff, 0x7f, 0x00, 0x61]],
    ['whose literal is cut', [5, 0x10, 0x68]],
    ['whose literal has no length', [5, 0xfc, 1]],
    ['whose literal would go back', [0x0a, 0xfc, 0xfa, 0xff, 0xff, 0xff, 0]],
    ['whose copy goes before the begin', [6, 0x00, 0x61, 0x12, 2, 0]],
    ['whose copy has no offset', [6, 0x00, 0x61, 0x12, 0, 0]],
    ['whose copy is cut', [6, 0x00, 0x61, 0x12, 1]],
    ['whose copy goes beyond the end', [3, 0x00, 0x61, 0x12, 1, 0]],
  ])('%s is corrupt', (_, bytes) => {
    expect(uncompressSnappy(block(...bytes), MIB)).toEqual(CORRUPT);
  });

  it('of more than is allowed is told before anything is allocated', () => {
    expect(uncompressSnappy(snappy(Buffer.alloc(1_001)), 1_000)).toEqual({ ok: false, reason: 'too_large' });
    expect(uncompressSnappy(block(0xff, 0xff, 0xff, 0xff, 0x0f), MIB)).toEqual({
      ok: false,
      reason: 'too_large',
    });
  });
});

describe('whatever comes', () => {
  it('ends with content of its length, or a reason', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat({ max: 2_000 }), (tail, length) => {
        const announced = length < 128 ? [length] : [(length % 128) | 0x80, length >>> 7];
        const result = uncompressSnappy(block(...announced, ...tail), 1_000);
        if (result.ok) expect(result.bytes).toHaveLength(length);
        else expect(['corrupt', 'too_large']).toContain(result.reason);
      }),
      { numRuns: 2_000 },
    );
  });
});
