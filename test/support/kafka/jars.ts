/** Apache Kafka as its project publishes it, from Maven Central: fetched once, kept beside other caches. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const VERSION = '4.4.0';
const PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1';
const LEAST_JAVA = 17;

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka-broker</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`;

function cacheDirectory(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'gh0stmeter');
}

/** What a broker needs and this machine has not; undefined: all there. In CI a missing part is a failure. */
export function missingForKafka(): string | undefined {
  const missing = [hasJava() ? [] : [`a JDK ${LEAST_JAVA}`], hasJars() || hasMaven() ? [] : ['Maven']].flat();
  if (missing.length === 0) return undefined;
  const text = `needs ${missing.join(' and ')} for a Kafka broker`;
  if ((process.env['CI'] ?? '') !== '') throw new Error(text);
  return text;
}

/** The folder with the jars. Several test processes may come at once: one of them puts it in place. */
export function kafkaJars(): string {
  const place = join(cacheDirectory(), `kafka-${VERSION}`);
  if (existsSync(place)) return place;
  mkdirSync(cacheDirectory(), { recursive: true });
  const fetched = mkdtempSync(join(cacheDirectory(), 'fetching-'));
  try {
    writeFileSync(join(fetched, 'pom.xml'), POM);
    const goal = [`${PLUGIN}:copy-dependencies`, '-DincludeScope=runtime', '-DoutputDirectory=libs'];
    execFileSync('mvn', ['-q', '-B', ...goal], { cwd: fetched, stdio: ['ignore', 'ignore', 'inherit'] });
    renameSync(join(fetched, 'libs'), place);
  } catch (error) {
    if (!existsSync(place)) throw error;
  } finally {
    rmSync(fetched, { recursive: true });
  }
  return place;
}

function hasJars(): boolean {
  return existsSync(join(cacheDirectory(), `kafka-${VERSION}`));
}

/** With its compiler, which runs the producer in Java. */
function hasJava(): boolean {
  const compiler = /^jdk\.compiler@(\d+)/m.exec(output('java', ['--list-modules']))?.[1];
  return compiler !== undefined && Number(compiler) >= LEAST_JAVA;
}

function hasMaven(): boolean {
  return output('mvn', ['-v']).includes('Apache Maven');
}

function output(command: string, args: readonly string[]): string {
  try {
    return execFileSync('sh', ['-c', '"$@" 2>&1', 'sh', command, ...args], { encoding: 'utf8' });
  } catch {
    return '';
  }
}
