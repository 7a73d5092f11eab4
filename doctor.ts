/**
 * `metering doctor`: looks at all that a role, or a data directory, stands on, and says what to do. In: the
 * options of the command. Out: one line for each finding, and 1 where one of them is a failure. Nothing is
 * changed, and no secret is shown.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { CommandOutput } from './aggregator/commands.ts';
import { examineLease } from './aggregator/coordination/examination.ts';
import { readDeclared } from './aggregator/ledger/declared.ts';
import { findStore } from './aggregator/store/clickhouse/open.ts';
import type { StoreConfig } from './aggregator/store/config.ts';
import { examineStore } from './aggregator/store/examination.ts';
import { receiverConfigOf } from './collectors/receiver/config.ts';
import { examineKafka, type KafkaUse } from './core/eventlog/kafka/examination.ts';
import { SystemClock, type Clock } from './core/runtime/clock.ts';
import type { OptionsOf } from './core/runtime/command-line.ts';
import { diskFinding, spaceAt } from './core/runtime/disk.ts';
import { MeteringError } from './core/runtime/errors.ts';
import { faultFinding, type Finding } from './core/runtime/finding.ts';
import { readSettingsTimeline } from './core/runtime/settings.ts';
import { telemetryToStderr } from './core/runtime/telemetry.ts';
import { ledgerTopicsOf, roleNameOf, roleSchemas, roleSettings, topicsOf } from './roles.ts';

const CORRECT_FILE = 'correct it; docs/reference/settings.md lists every key';

interface DoctorDeps extends CommandOutput {
  /** Of this machine. */
  readonly clock?: Clock;
}

export async function runDoctor(options: OptionsOf<'doctor'>, deps: DoctorDeps): Promise<number> {
  const { clock = new SystemClock() } = deps;
  const findings = [...fileFindings(options)];
  if (options.config === undefined) findings.push(...(await examineData(options.data ?? 'data', clock)));
  else findings.push(...(await examineRole(options.config, clock)));
  deps.print(options.format === 'json' ? `${JSON.stringify(findings)}\n` : reportOf(findings));
  return findings.some(({ level }) => level === 'fail') ? 1 : 0;
}

function reportOf(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  return findings
    .map(({ level, name, seen, advice }) => {
      const line = `${level.padEnd(4)}  ${name.padEnd(width)}  ${seen}`;
      // A problem that has lines of its own is one all the same.
      return `${(advice === undefined ? line : `${line} -> ${advice}`).replace(/\s*\n\s*/g, ' ')}\n`;
    })
    .join('');
}

interface NamedFiles {
  readonly settings?: string | undefined;
  readonly declared?: string | undefined;
}

function fileFindings({ settings, declared }: NamedFiles): readonly Finding[] {
  return [
    ...(settings === undefined ? [] : [read('settings file', settings, readSettingsTimeline)]),
    ...(declared === undefined ? [] : [read('declared file', declared, readDeclared)]),
  ];
}

function read(name: string, file: string, reading: (file: string) => unknown): Finding {
  try {
    reading(file);
    return { level: 'ok', name, seen: `${file} is valid` };
  } catch (error) {
    return faultFinding(name, error, CORRECT_FILE);
  }
}

/** What is there to look at, once the settings of a role can be read. */
interface Examined {
  readonly findings: readonly Finding[];
  readonly kafka?: { readonly config: Parameters<typeof examineKafka>[0]; readonly use: KafkaUse };
  readonly store?: StoreConfig;
}

async function examineRole(config: string, clock: Clock): Promise<readonly Finding[]> {
  const name = 'configuration';
  let examined: Examined;
  try {
    examined = examinedOf(config);
  } catch (error) {
    const rest: Finding = { level: 'info', name: 'the rest', seen: 'is not checked without settings' };
    return [faultFinding(name, error, CORRECT_FILE), rest];
  }
  const { findings, kafka, store } = examined;
  const facts = telemetryToStderr('silent', clock);
  return [
    ...findings,
    ...(kafka === undefined ? [] : await examineKafka(kafka.config, kafka.use, { clock, facts })),
    ...(store === undefined ? [] : await examineStoreOf(store, clock)),
  ];
}

function examinedOf(path: string): Examined {
  const role = roleNameOf(path);
  const valid: Finding = {
    level: 'ok',
    name: 'configuration',
    seen: `${path} is valid for the ${role} role`,
  };
  switch (role) {
    case 'aggregator': {
      const {
        kafka: config,
        store,
        settingsFile,
        declaredFile,
        ...rest
      } = roleSettings(roleSchemas.aggregator, path);
      const use = { reads: topicsOf({ clusters: rest.clusters }), appends: ledgerTopicsOf(rest.ledgerTopic) };
      const named = fileFindings({ settings: settingsFile, declared: declaredFile });
      return { findings: [valid, ...named], kafka: { config, use }, store };
    }
    case 'collector': {
      const { kafka: config, ...parts } = roleSettings(roleSchemas.collector, path);
      // Its tokens lie in files of their own.
      if (parts.receiver !== undefined) receiverConfigOf(parts.receiver, path);
      return { findings: [valid], kafka: { config, use: { reads: [], appends: topicsOf(parts) } } };
    }
    case 'api':
      return { findings: [valid], store: roleSettings(roleSchemas.api, path).store };
  }
}

async function examineStoreOf(config: Partial<StoreConfig>, clock: Clock): Promise<readonly Finding[]> {
  const { directory, url } = config;
  const name = 'store';
  const where = directory ?? `${url ?? ''} (database ${config.database ?? ''})`;
  const findings: Finding[] = [];
  try {
    const found = await findStore(config);
    if (found === undefined) {
      const seen = `${where} is not there yet: the first start of a role makes it`;
      const advice = directory === undefined ? { advice: 'let its user CREATE DATABASE, or make it' } : {};
      return [{ level: directory === undefined ? 'warn' : 'info', name, seen, ...advice }];
    }
    try {
      findings.push({ level: 'ok', name, seen: `${where} answers` });
      const examined = await examineStore(found, { clock });
      findings.push(...examined.findings);
      if (examined.isUsable) findings.push(await examineLease({ store: found.store, clock }));
    } finally {
      await found.store.close();
    }
  } catch (error) {
    if (error instanceof MeteringError && error.code === 'METER_DATA_LOCKED') {
      const seen = `a process runs on ${where}, which only one can open: not checked from here`;
      return [{ level: 'info', name, seen, advice: 'ask that process at /readyz, or stop it and ask again' }];
    }
    const advice = 'see that it runs, that url, username and password are right, and that it can be reached';
    findings.push(faultFinding(name, error, advice));
  }
  return findings;
}

async function examineData(data: string, clock: Clock): Promise<readonly Finding[]> {
  const name = 'data directory';
  if (!existsSync(data)) {
    const advice = 'name the directory that `npm start` was given with --data, or a role with --config';
    return [{ level: 'fail', name, seen: `${data} is not there`, advice }];
  }
  const findings = [diskFinding(`disk of ${data}`, await spaceAt(data))];
  return [...findings, ...(await examineStoreOf({ directory: join(data, 'store') }, clock))];
}
