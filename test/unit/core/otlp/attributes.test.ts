import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeLabels, decodeResource, MAX_ATTRIBUTES_BYTES } from '../../../../core/otlp/attributes.ts';
import { joined, length, varint } from './protobuf-wire.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (value: string): Uint8Array => joined(varint(0x0a), length(utf8(value)));
const boolean = (value: number): Uint8Array => joined(varint(0x10), varint(value));
const integer = (value: Uint8Array): Uint8Array => joined(varint(0x18), value);
const double = joined(varint(0x21), new Uint8Array(8));
const list = joined(varint(0x2a), length(new Uint8Array()));
const bytes = joined(varint(0x3a), length(Uint8Array.of(1)));

function pair(key: string, value?: Uint8Array): Uint8Array {
  return joined(varint(0x0a), length(utf8(key)), ...(value ? [varint(0x12), length(value)] : []));
}

function resource(...pairs: readonly Uint8Array[]): Uint8Array {
  return joined(...pairs.flatMap((each) => [varint(0x0a), length(each)]));
}

describe('labels', () => {
  test('are texts as they are, integers and booleans as their text', () => {
    const minusOne = Uint8Array.of(...Array<number>(9).fill(0xff), 1);
    const labels = decodeLabels([
      pair('a', text('grüße')),
      pair('b', boolean(1)),
      pair('c', boolean(0)),
      pair('d', integer(varint(200))),
      pair('e', integer(minusOne)),
    ]);
    expect(labels && Object.fromEntries(labels)).toEqual({
      a: 'grüße',
      b: 'true',
      c: 'false',
      d: '200',
      e: '-1',
    });
  });

  test('that are empty, or without a value, are absent', () => {
    expect(decodeLabels([pair('a', text('')), pair('b'), pair('c', new Uint8Array())])).toEqual(new Map());
  });

  test('are taken up to their bytes, all together, and not beyond', () => {
    const [half, rest] = ['a', 'b'].map((key) => (size: number) => pair(key, text('x'.repeat(size))));
    const at = MAX_ATTRIBUTES_BYTES / 2;
    const framing = half!(at).length - at;
    const whole = (more: number): Uint8Array[] => [half!(at - framing), rest!(at - framing + more)];
    expect(decodeLabels(whole(0))?.size).toBe(2);
    expect(decodeLabels(whole(1))).toBeUndefined();
    expect(decodeResource(resource(pair('a', text('x'.repeat(at)))))?.size).toBe(1);
    expect(decodeResource(resource(pair('a', text('x'.repeat(2 * at)))))).toBeUndefined();
  });

  test('are dropped where empty before one that comes twice is looked for', () => {
    expect(decodeLabels([pair('a', text('')), pair('a', text('x')), pair('a')])).toEqual(
      new Map([['a', 'x']]),
    );
  });

  test.each([
    ['one that comes twice', [pair('a', text('x')), pair('a', text('x'))]],
    ['a double', [pair('a', double)]],
    ['a list', [pair('a', list)]],
    ['bytes', [pair('a', bytes)]],
    ['a value that is no UTF-8', [pair('a', joined(varint(0x0a), length(Uint8Array.of(0xff))))]],
    [
      'a key that is no UTF-8',
      [joined(varint(0x0a), length(Uint8Array.of(0xc0, 0x80)), varint(0x12), length(text('x')))],
    ],
    ['a key that is a number', [joined(varint(0x08), varint(1))]],
    ['a value that is a number', [joined(varint(0x10), varint(1))]],
    ['a text of another wire type', [pair('a', joined(varint(0x08), varint(1)))]],
    ['a boolean of another wire type', [pair('a', joined(varint(0x12), length(utf8('x'))))]],
    ['an integer of another wire type', [pair('a', joined(varint(0x19), new Uint8Array(8)))]],
    ['a truncated pair', [pair('a', text('x')).subarray(0, 4)]],
    [
      'a truncated value',
      [joined(varint(0x0a), length(utf8('a')), varint(0x12), length(Uint8Array.of(0x0a, 9)))],
    ],
    ['a group', [joined(varint((9 << 3) | 3))]],
    ['field number 0', [joined(varint(2), length(new Uint8Array()))]],
  ])('are unusable with %s', (_, pairs) => {
    expect(decodeLabels(pairs)).toBeUndefined();
  });

  test('carry unknown fields without harm', () => {
    const unknown = joined(varint((9 << 3) | 5), new Uint8Array(4), varint((8 << 3) | 1), new Uint8Array(8));
    expect(decodeLabels([joined(unknown, pair('a', text('x')), unknown)])).toEqual(new Map([['a', 'x']]));
  });

  test('of garbage are labels or unusable, never a fault', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 }), (pairs) => {
        const labels = decodeLabels(pairs);
        expect(labels === undefined || labels instanceof Map).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('attributes of a resource', () => {
  test('are texts, integers and booleans; what is not is passed over', () => {
    const message = resource(
      pair('a', text('x')),
      pair('list', list),
      pair('b', double),
      pair('c', boolean(1)),
    );
    expect(decodeResource(message)).toEqual(
      new Map([
        ['a', 'x'],
        ['c', 'true'],
      ]),
    );
  });

  test('of one name are the first that is a text', () => {
    const message = resource(
      pair('a', list),
      pair('a', text('')),
      pair('a', text('x')),
      pair('a', text('y')),
    );
    expect(decodeResource(message)).toEqual(new Map([['a', 'x']]));
  });

  test('of a malformed message are unusable', () => {
    expect(decodeResource(resource(pair('a', text('x'))).subarray(0, 3))).toBeUndefined();
    expect(decodeResource(new Uint8Array())).toEqual(new Map());
  });
});
