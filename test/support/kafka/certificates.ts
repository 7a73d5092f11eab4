/** An authority, and certificates by it: for a broker on loopback and for a client that it knows. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificates {
  readonly ca: string;
  /** Key and certificate in one file, as Kafka takes them. */
  readonly broker: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];

export function makeCertificates(directory: string): Certificates {
  const file = (name: string): string => join(directory, name);
  const request = (name: string, more: readonly string[]): void => {
    const out = ['-keyout', file(`${name}.key`), '-out', file(`${name}.crt`)];
    execFileSync('openssl', ['req', '-x509', ...KEY, ...out, '-subj', `/CN=${name}`, ...more], {
      stdio: 'ignore',
    });
  };
  request('authority', []);
  const signed = ['-CA', file('authority.crt'), '-CAkey', file('authority.key')];
  const isNone = ['-addext', 'basicConstraints=critical,CA:FALSE'];
  request('broker', [...signed, ...isNone, '-addext', 'subjectAltName=IP:127.0.0.1']);
  request('metering', [...signed, ...isNone]);
  const both = readFileSync(file('broker.key'), 'utf8') + readFileSync(file('broker.crt'), 'utf8');
  writeFileSync(file('broker.pem'), both);
  return {
    ca: file('authority.crt'),
    broker: file('broker.pem'),
    clientCertificate: file('metering.crt'),
    clientKey: file('metering.key'),
  };
}
