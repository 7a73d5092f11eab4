/*
 * `node .ci/complete-lockfile.js`, after an `npm install` that changed the lockfile.
 *
 * npm 11.16 and later leave an optional package that their registry does not serve (a foreign platform's
 * binary, say) out of package-lock.json, and then `npm ci` refuses that very file: "Missing: ... from lock
 * file". This adds the absent entries: the version its parent pins, and the platform that its name tells,
 * so that other machines skip it without asking the registry. It never changes an entry that is there.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const LOCKFILE = new URL('../package-lock.json', import.meta.url);
const SYSTEMS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const PROCESSORS = ['arm', 'arm64', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64'];

/** The entry that `name` resolves to from `parent`, by Node's walk up the folders. */
function resolve(packages, parent, name) {
  for (let base = parent; ; base = base.slice(0, Math.max(0, base.lastIndexOf('node_modules/') - 1))) {
    const path = `${base === '' ? '' : `${base}/`}node_modules/${name}`;
    if (path in packages) return path;
    if (base === '') return undefined;
  }
}

function placeholder(name, version) {
  const words = name.split(/[/-]/);
  const cpu = PROCESSORS.filter((word) => words.includes(word));
  const os = SYSTEMS.filter((word) => words.includes(word));
  if (os.length === 0 || !/^\d+\.\d+\.\d+/.test(version)) {
    throw new Error(`${name}@${version}: neither in the lockfile nor a platform's package with one version`);
  }
  return { version, ...(cpu.length > 0 && { cpu }), optional: true, os };
}

const lock = JSON.parse(readFileSync(LOCKFILE, 'utf8'));
const added = [];
for (const [parent, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (resolve(lock.packages, parent, name) !== undefined) continue;
    lock.packages[`node_modules/${name}`] = placeholder(name, version);
    added.push(`${name}@${version}`);
  }
}
const sorted = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en'));
lock.packages = Object.fromEntries(sorted);
if (added.length > 0) writeFileSync(LOCKFILE, `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(
  `package-lock.json: ${added.length} added${added.map((name) => `\n  ${name}`).join('')}\n`,
);
