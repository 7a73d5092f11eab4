/**
 * One GET of a target's exposition. Input: the target and a signal that ends everything. Output: the unpacked
 * body with its format, or why there is none. Guarantee: never more than the body limit in memory, packed or
 * unpacked, and never longer than the signal allows, however the target behaves. Keeps its connection open
 * between scrapes, and asks once more on a new one where the target had closed it; certificates and tokens
 * are read anew each time, so rotation needs no restart.
 */
import { readFile } from 'node:fs/promises';
import * as http from 'node:http';
import * as https from 'node:https';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { MeteringError } from '../../core/runtime/errors.ts';
import { type ScrapeTarget, timeoutMsOf, type TlsSettings } from './config.ts';
import type { ExpositionFormat } from './exposition.ts';
import type { ScrapeFailureReason } from './telemetry.ts';

export type Fetched =
  | { readonly ok: true; readonly body: Uint8Array; readonly format: ExpositionFormat }
  | { readonly ok: false; readonly reason: ScrapeFailureReason; readonly error: unknown };

const ACCEPT: Readonly<Record<ExpositionFormat, string>> = {
  text: 'text/plain;version=0.0.4;q=0.9,*/*;q=0.1',
  openmetrics: 'application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
};
const USER_AGENT = 'gh0stmeter';
const HTTP_OK = 200;

export class ScrapeClient {
  private readonly target: ScrapeTarget;
  private agent: http.Agent | undefined;
  /** What the agent was made of; other certificates make another one. */
  private agentMaterial = '';

  constructor(target: ScrapeTarget) {
    this.target = target;
  }

  async fetch(signal: AbortSignal): Promise<Fetched> {
    let headers: http.OutgoingHttpHeaders;
    try {
      headers = await this.headers();
      await this.prepareAgent();
    } catch (error) {
      return failed('credentials', error);
    }
    try {
      const response = await this.request(headers, signal);
      return await this.read(response);
    } catch (error) {
      return failed(signal.aborted ? 'timeout' : 'connection', error);
    }
  }

  close(): void {
    this.agent?.destroy();
  }

  private async headers(): Promise<http.OutgoingHttpHeaders> {
    const { bearerToken, bearerTokenFile, format } = this.target;
    const headers: http.OutgoingHttpHeaders = {
      accept: ACCEPT[format],
      'accept-encoding': 'gzip',
      'user-agent': USER_AGENT,
      'x-prometheus-scrape-timeout-seconds': String(timeoutMsOf(this.target) / 1000),
    };
    const token =
      bearerTokenFile === undefined ? bearerToken?.() : (await readFile(bearerTokenFile, 'utf8')).trim();
    if (token === undefined) return headers;
    if (!/^[\x21-\x7e]+$/.test(token))
      throw unusable('the bearer token is empty or has characters that no header takes');
    return { ...headers, authorization: `Bearer ${token}` };
  }

  private async prepareAgent(): Promise<void> {
    const { tls, url } = this.target;
    const material = tls === undefined ? {} : await readCertificates(tls);
    const fingerprint = JSON.stringify(material);
    if (this.agent !== undefined && fingerprint === this.agentMaterial) return;
    this.agent?.destroy();
    const keptOpen = { keepAlive: true, maxSockets: 1 };
    this.agent = url.startsWith('https:')
      ? new https.Agent({ ...keptOpen, ...material })
      : new http.Agent(keptOpen);
    this.agentMaterial = fingerprint;
  }

  private request(
    headers: http.OutgoingHttpHeaders,
    signal: AbortSignal,
    isSecond = false,
  ): Promise<http.IncomingMessage> {
    const { url } = this.target;
    const { request } = url.startsWith('https:') ? https : http;
    return new Promise((resolve, reject) => {
      const sent = request(url, { agent: this.agent, headers, signal });
      let isAnswered = false;
      // Stays for the whole exchange: an abort while the body is read is reported here as well.
      sent.on('error', (error) => {
        const isAgain = !isSecond && !isAnswered && !signal.aborted && wasClosed(sent, error);
        if (isAgain) resolve(this.request(headers, signal, true));
        else reject(error);
      });
      sent.on('response', (response) => {
        isAnswered = true;
        resolve(response);
      });
      sent.end();
    });
  }

  private async read(response: http.IncomingMessage): Promise<Fetched> {
    const refusal = refuse(response);
    if (refusal !== undefined) {
      response.destroy();
      return refusal;
    }
    const isPacked = response.headers['content-encoding'] === 'gzip';
    const body = isPacked ? pipeline(response, createGunzip(), () => undefined) : response;
    try {
      const bytes = await collect(body, this.target.bodyLimitBytes);
      if (bytes === undefined)
        return failed('body_too_large', `more than ${this.target.bodyLimitBytes} bytes`);
      return { ok: true, body: bytes, format: formatOf(response) };
    } catch (error) {
      if (isPacked && isZlibFault(error)) return failed('encoding', error);
      throw error;
    }
  }
}

/** A kept connection that the target closed just as it was used again: that is no news of the target. */
function wasClosed(sent: http.ClientRequest, error: Error): boolean {
  return sent.reusedSocket && 'code' in error && error.code === 'ECONNRESET';
}

function failed(reason: ScrapeFailureReason, error: unknown): Fetched {
  return { ok: false, reason, error };
}

function refuse(response: http.IncomingMessage): Fetched | undefined {
  if (response.statusCode !== HTTP_OK)
    return failed('http_status', `HTTP status ${String(response.statusCode)}`);
  const encoding = response.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'gzip' && encoding !== 'identity') {
    return failed('encoding', `content-encoding ${encoding}`);
  }
  const type = response.headers['content-type'] ?? '';
  if (/protobuf|html/i.test(type)) return failed('content_type', `content-type ${type}`);
  return undefined;
}

/** Everything that does not name OpenMetrics is the classic format, as old exporters name none at all. */
function formatOf(response: http.IncomingMessage): ExpositionFormat {
  const type = response.headers['content-type'] ?? '';
  return /^\s*application\/openmetrics-text\b/i.test(type) ? 'openmetrics' : 'text';
}

/**
 * Undefined when there are more bytes than allowed; leaving the loop closes the stream and its connection.
 */
async function collect(body: Readable, limitBytes: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > limitBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** By zlib's own codes: a connection that broke is no fault of the encoding. */
function isZlibFault(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^Z_(DATA|BUF|STREAM|NEED)/.test(String(error.code));
}

async function readCertificates(tls: TlsSettings): Promise<https.AgentOptions> {
  const { caFile, certFile, keyFile, serverName, insecureSkipVerify } = tls;
  const read = async (file: string | undefined) => (file === undefined ? undefined : readFile(file, 'utf8'));
  const [ca, cert, key] = await Promise.all([read(caFile), read(certFile), read(keyFile)]);
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
    rejectUnauthorized: !insecureSkipVerify,
  };
}

function unusable(message: string): MeteringError {
  return new MeteringError('METER_CONFIG_INVALID', message);
}
