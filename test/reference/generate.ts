/** `npm run generate`: writes the generated pages of docs/reference and Alloy's keep-rules. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { alloyRules } from './alloy-rules.ts';
import { DIRECTORY, referencePages, ROOT } from './reference.ts';

mkdirSync(DIRECTORY, { recursive: true });
for (const [name, text] of referencePages()) writeFileSync(join(DIRECTORY, name), text);
for (const [path, text] of alloyRules()) writeFileSync(join(ROOT, path), text);
