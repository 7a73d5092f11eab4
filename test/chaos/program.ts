/** What the programs share: settings from the environment, lines with the time, an end that leaves nothing. */
import { availableParallelism, cpus } from 'node:os';
import { SystemClock } from '../../core/runtime/clock.ts';

/** A whole number from the environment. */
export function setting(name: string, otherwise: number): number {
  const value = Number(process.env[name] ?? otherwise);
  if (Number.isInteger(value) && value > 0) return value;
  process.stderr.write(`${name} is ${process.env[name] ?? ''}, but has to be a whole number above 0\n`);
  process.exit(1);
}

/** Says lines with the seconds since it was made. */
export function sayer(): (line: string) => void {
  const clock = new SystemClock();
  const beganMs = clock.now();
  return (line) => {
    const seconds = ((clock.now() - beganMs) / 1000).toFixed(1);
    process.stdout.write(`${seconds.padStart(7)} s  ${line}\n`);
  };
}

/** Processes and directories go when this process exits, so it has to exit by itself. */
export function exitOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
}

export function machine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown';
  const { version, platform, arch } = process;
  return `Node ${version}, ${availableParallelism()} cores (${model}), ${platform} ${arch}`;
}

export function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** A table's row: a name and what is said of it. */
export function row(name: string, text: string): string {
  return `${name.padEnd(24)}${text}`;
}
