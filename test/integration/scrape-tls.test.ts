import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { collect, configFor, serve, stopAll, valuesOf } from '../support/scrape-run.ts';
import { text } from '../support/scrape-target.ts';

const folder = mkdtempSync(join(tmpdir(), 'scrape-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(stopAll);

describe('TLS', () => {
  const keyFile = join(folder, 'key.pem');
  const certFile = join(folder, 'cert.pem');
  const subject = ['-subj', '/CN=demo', '-addext', 'subjectAltName=DNS:demo.internal'];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      keyFile,
      '-out',
      certFile,
      ...subject,
    ],
    { stdio: 'ignore' },
  );
  const identity = { key: readFileSync(keyFile), cert: readFileSync(certFile) };

  it('verifies the target against the CA and the name it is given, and presents a certificate', async () => {
    const server = await serve(text('a 1\n'), {
      ...identity,
      ca: identity.cert,
      requestCert: true,
      rejectUnauthorized: true,
    });
    const tls = {
      caFile: certFile,
      certFile,
      keyFile,
      serverName: 'demo.internal',
      insecureSkipVerify: false,
    };
    const { log, facts } = await collect(configFor(server.url, { tls, intervalMs: 1_000 }));
    await facts.until('recordsAppended', 1);
    expect(facts.of('scrapeFailed')).toEqual([]);
    expect(valuesOf(log, 'a')).toEqual([1]);
  });

  it.each([
    ['an unknown CA', {}],
    ['another name', { caFile: certFile, serverName: 'other.internal' }],
  ])('refuses %s', async (_, tls) => {
    const server = await serve(text('a 1\n'), identity);
    const settings = { tls: { insecureSkipVerify: false, ...tls }, intervalMs: 500 };
    const { facts } = await collect(configFor(server.url, settings));
    await facts.until('scrapeFailed', 1);
    expect(facts.of('scrapeFailed')[0]).toMatchObject({ reason: 'connection' });
    expect(server.requests).toEqual([]);
  });

  it('takes any certificate when told to', async () => {
    const server = await serve(text('a 1\n'), identity);
    const { facts } = await collect(
      configFor(server.url, { tls: { insecureSkipVerify: true }, intervalMs: 500 }),
    );
    await facts.until('scrapeDone', 1);
  });

  it('says that a certificate file is missing', async () => {
    const server = await serve(text('a 1\n'), identity);
    const tls = { caFile: join(folder, 'missing.pem'), insecureSkipVerify: false };
    const { facts } = await collect(configFor(server.url, { tls }));
    await facts.until('scrapeFailed', 1);
    expect(facts.of('scrapeFailed')[0]).toMatchObject({ reason: 'credentials' });
  });
});
