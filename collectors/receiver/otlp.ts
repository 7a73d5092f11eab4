/**
 * OTLP/HTTP: the body of `POST /v1/metrics`, which is MetricsData in protobuf or JSON, gzipped or not. JSON
 * is checked against the format and becomes protobuf; from there on there is one path.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { encodeMetricsData } from '../../core/otlp/encode.ts';
import { decodeJsonMetricsData } from '../../core/otlp/json.ts';
import { admit, type Admission, type AdmissionOptions, type Unreadable } from './admission.ts';
import type { ReceiverLimits } from './config.ts';

export interface OtlpForm {
  readonly encoding: 'protobuf' | 'json';
  readonly isGzipped: boolean;
}

const ENCODINGS: ReadonlyMap<string, OtlpForm['encoding']> = new Map([
  ['application/x-protobuf', 'protobuf'],
  ['application/json', 'json'],
]);

/** By the headers alone; undefined: nothing that is taken here. */
export function otlpFormOf(headers: IncomingHttpHeaders): OtlpForm | undefined {
  const [type = ''] = (headers['content-type'] ?? '').split(';');
  const encoding = ENCODINGS.get(type.trim().toLowerCase());
  const packing = (headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding === undefined || (packing !== 'gzip' && packing !== 'identity')) return undefined;
  return { encoding, isGzipped: packing === 'gzip' };
}

export function admitOtlp(body: Uint8Array, form: OtlpForm, options: AdmissionOptions): Admission {
  const read = messageOf(body, form, options.cluster.limits);
  return read.ok ? admit(read.message, options) : read;
}

function messageOf(
  body: Uint8Array,
  { encoding, isGzipped }: OtlpForm,
  limits: ReceiverLimits,
): { readonly ok: true; readonly message: Uint8Array } | Unreadable {
  const maxBytes =
    encoding === 'json' ? Math.min(limits.jsonBytes, limits.unpackedBytes) : limits.unpackedBytes;
  const unpacked = isGzipped ? unzipped(body, maxBytes) : body;
  if (unpacked === undefined) return { ok: false, reason: 'malformed', detail: 'the body is not gzip' };
  if (unpacked === 'too_large' || unpacked.length > maxBytes) {
    return { ok: false, reason: 'too_large', detail: `more than ${maxBytes} bytes unpacked` };
  }
  if (encoding === 'protobuf') return { ok: true, message: unpacked };
  const decoded = decodeJsonMetricsData(unpacked);
  if (!decoded.ok) return { ok: false, reason: 'malformed', detail: decoded.reason };
  return { ok: true, message: encodeMetricsData(decoded.data) };
}

/**
 * Undefined: it is no gzip, or not all of one. In one go, as everything that is done to a body: one is
 * unpacked at a time, so memory does not grow with the number of senders.
 */
function unzipped(body: Uint8Array, maxBytes: number): Uint8Array | 'too_large' | undefined {
  try {
    return gunzipSync(body, { maxOutputLength: maxBytes });
  } catch (error) {
    return error instanceof RangeError ? 'too_large' : undefined;
  }
}
