import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  readWriteRequest,
  type PushedSeries,
  type WriteVersion,
} from '../../../../core/remote-write/write-request.ts';
import { encodeWrite1, encodeWrite2, type SentSeries } from '../../../support/remote-write.ts';

const LIMITS = { series: 100, samples: 100, labels: 8, labelNameBytes: 20, labelValueBytes: 20 };
const ROOMY = { labelNameBytes: 1_000, labelValueBytes: 1_000 };
const T = 1_790_000_000_000;
const versions = [
  { version: '1.0', encode: encodeWrite1 },
  { version: '2.0', encode: encodeWrite2 },
] as const;

/** A series that outlives the next one. */
function kept({ labels, samples, histograms, exemplars }: PushedSeries) {
  const { bytes } = labels;
  const pairs = Array.from({ length: labels.count }, (_, i) => [
    bytes.toString('utf8', labels.nameBegin(i), labels.nameEnd(i)),
    bytes.toString('utf8', labels.valueBegin(i), labels.valueEnd(i)),
  ]);
  return {
    labels: new Map(pairs as [string, string][]),
    problem: labels.problem,
    samples: samples.map(({ timeMs, valueAt, isStale, startMs }) => {
      const value = valueAt === undefined ? 0 : bytes.readDoubleLE(valueAt);
      return { timeMs, value: isStale ? undefined : value, startMs };
    }),
    histograms,
    exemplars,
  };
}

function read(message: Uint8Array, version: WriteVersion, limits = {}) {
  const series: ReturnType<typeof kept>[] = [];
  const told = { version, limits: { ...LIMITS, ...limits } };
  const outcome = readWriteRequest(message, told, (one) => series.push(kept(one)));
  return { ...outcome, series };
}

function seriesOf(message: Uint8Array, version: WriteVersion, limits = {}) {
  const outcome = read(message, version, limits);
  if (!outcome.ok) throw new Error(`${outcome.reason}: ${outcome.detail}`);
  return outcome.series;
}

function reasonOf(message: Uint8Array, version: WriteVersion, limits = {}): string | undefined {
  const outcome = read(message, version, limits);
  return outcome.ok ? undefined : outcome.reason;
}

const name = fc.string({ minLength: 1, maxLength: 5, unit: 'grapheme' });
const labels = fc.dictionary(name, fc.string({ maxLength: 4, unit: 'grapheme' }), {
  maxKeys: 6,
  noNullPrototype: true,
});
const sample = fc.record({
  timestamp: fc.integer({ min: -10, max: T }),
  value: fc.oneof(fc.double(), fc.constant('stale' as const)),
});
const anySeries = fc.array(fc.record({ labels, samples: fc.array(sample, { maxLength: 4 }) }), {
  maxLength: 6,
});

describe.each(versions)('a request of $version', ({ version, encode }) => {
  it('is read as another library wrote it', () => {
    fc.assert(
      fc.property(anySeries, (sent) => {
        const found = seriesOf(encode(sent), version, ROOMY).map(({ labels: own, samples }) => ({
          labels: Object.fromEntries(own),
          samples,
        }));
        const expected = sent.map((one) => ({
          labels: Object.fromEntries(Object.entries(one.labels).filter(([, value]) => value !== '')),
          samples: one.samples.map(({ timestamp, value }) => ({
            timeMs: timestamp,
            value: value === 'stale' ? undefined : value,
            startMs: undefined,
          })),
        }));
        expect(found).toEqual(expected);
      }),
    );
  });

  it('counts what it does not read', () => {
    const sent: SentSeries[] = [
      { labels: { a: 'b' }, histograms: [{ sum: 1 }, { sum: 2 }], exemplars: [{ value: 1 }] },
    ];
    expect(seriesOf(encode(sent), version)).toMatchObject([{ samples: [], histograms: 2, exemplars: 1 }]);
  });

  it.each([
    [
      'too many labels',
      Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`l${i}`, 'x'])),
      'too_many_labels',
    ],
    ['a name that is too long', { ['n'.repeat(21)]: 'x' }, 'label_too_long'],
    ['a value that is too long', { a: 'é'.repeat(11) }, 'label_too_long'],
    [
      'a name that comes twice',
      [
        ['a', 'x'],
        ['a', 'y'],
      ],
      'bad_label',
    ],
    [
      'a name that comes twice, once empty',
      [
        ['a', ''],
        ['a', 'y'],
      ],
      'bad_label',
    ],
    ['no name', [['', 'x']], 'bad_label'],
  ] as const)('with %s has a problem in that series alone', (_, unfit, problem) => {
    const samples = [{ timestamp: T }];
    const sent = [
      { labels: unfit, samples },
      { labels: { a: 'fit' }, samples },
    ] as SentSeries[];
    const found = seriesOf(encode(sent), version);
    expect(found.map((one) => [one.problem, one.samples.length])).toEqual([
      [problem, 1],
      [undefined, 1],
    ]);
  });

  it('is too large above its limits, whichever', () => {
    const one: SentSeries = {
      labels: { a: 'b' },
      samples: [{ timestamp: T }, { timestamp: T }],
      histograms: [{}],
    };
    expect(reasonOf(encode([one, one]), version, { series: 2, samples: 6 })).toBeUndefined();
    expect(reasonOf(encode([one, one]), version, { series: 1 })).toBe('too_large');
    expect(reasonOf(encode([one, one]), version, { samples: 5 })).toBe('too_large');
    expect(reasonOf(encode([one]), version, { samples: 1 })).toBe('too_large');
  });

  it('that ends early is malformed or another one, never half of it', () => {
    const whole = encode([{ labels: { a: 'b', c: 'd' }, samples: [{ timestamp: T, value: 1 }] }]);
    for (let end = 1; end < whole.length; end++) {
      const outcome = read(whole.subarray(0, end), version);
      if (outcome.ok) expect(outcome.series).toEqual([]);
      else expect(outcome.reason).toBe('malformed');
    }
  });
});

describe('fields of another wire type', () => {
  it.each([
    ['1.0', 'timeseries', [0x08, 0x01]],
    ['1.0', 'labels', [0x0a, 0x02, 0x08, 0x01]],
    ['1.0', 'a label name', [0x0a, 0x04, 0x0a, 0x02, 0x08, 0x01]],
    ['1.0', 'samples', [0x0a, 0x02, 0x10, 0x01]],
    ['1.0', 'a value', [0x0a, 0x04, 0x12, 0x02, 0x08, 0x01]],
    ['1.0', 'a timestamp', [0x0a, 0x0b, 0x12, 0x09, 0x11, 0, 0, 0, 0, 0, 0, 0, 0]],
    ['1.0', 'field 0', [0x0a, 0x02, 0x00, 0x01]],
    ['2.0', 'symbols', [0x20, 0x01]],
    ['2.0', 'label references', [0x22, 0x00, 0x2a, 0x05, 0x0d, 0, 0, 0, 0]],
  ] as const)('in %s are malformed: %s', (version, _, bytes) => {
    expect(reasonOf(Uint8Array.from(bytes), version)).toBe('malformed');
  });
});

describe('symbols', () => {
  const SYMBOLS = [0x22, 0x00, 0x22, 0x01, 0x61, 0x22, 0x01, 0x62];
  const request = (...series: readonly number[]) => Uint8Array.from([...series, ...SYMBOLS]);

  it('may stand behind the series that use them, packed or one by one', () => {
    for (const references of [
      [0x0a, 0x02, 1, 2],
      [0x08, 1, 0x08, 2],
    ]) {
      const found = seriesOf(request(0x2a, references.length, ...references), '2.0');
      expect(found.map(({ labels: own }) => [...own])).toEqual([[['a', 'b']]]);
    }
  });

  it.each([
    ['of a pair that is not there', [0x0a, 0x02, 1, 3]],
    ['far beyond the table', [0x0a, 0x06, 1, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ['without its pair', [0x0a, 0x01, 1]],
  ])('a reference %s is a problem of its series', (_, references) => {
    const found = seriesOf(request(0x2a, references.length, ...references), '2.0');
    expect(found.map(({ problem }) => problem)).toEqual(['bad_label']);
  });

  it('that are no UTF-8 are a problem of who uses them', () => {
    const symbols = [0x22, 0x00, 0x22, 0x01, 0xff, 0x22, 0x01, 0x62];
    const message = Uint8Array.from([...symbols, 0x2a, 0x04, 0x0a, 0x02, 2, 1, 0x2a, 0x04, 0x0a, 0x02, 2, 2]);
    expect(seriesOf(message, '2.0').map(({ problem }) => problem)).toEqual(['bad_label', undefined]);
  });

  it('begin with the empty one, and are no more than labels can use', () => {
    expect(reasonOf(Uint8Array.from([0x22, 0x01, 0x61]), '2.0')).toBe('malformed');
    expect(reasonOf(new Uint8Array(0), '2.0')).toBe('malformed');
    const many = Buffer.alloc(2 * 801, Buffer.from([0x22, 0x00]));
    expect(reasonOf(many.subarray(2), '2.0')).toBeUndefined();
    expect(reasonOf(many, '2.0')).toBe('too_large');
  });

  it('keep a mark at the begin of a text', () => {
    const found = seriesOf(encodeWrite2([{ labels: { a: '\ufeffx' } }]), '2.0');
    expect(found[0]?.labels.get('a')).toBe('\ufeffx');
  });
});
