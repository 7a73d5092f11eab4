/*
 * Loaded before main.ts (`node --import ./node-version.js main.ts`). Plain JavaScript, because a Node that is
 * too old cannot read TypeScript and would only say ERR_UNKNOWN_FILE_EXTENSION.
 */
const OLDEST = 24;
const running = process.versions.node;

if (Number.parseInt(running, 10) < OLDEST) {
  process.stderr.write(
    `gh0stcloud metering needs Node ${OLDEST} or later, this is ${running}: on Linux \`npm ci && npm start\` ` +
      `brings its own (do not omit optional packages), elsewhere install Node ${OLDEST}.\n`,
  );
  process.exit(1);
}
