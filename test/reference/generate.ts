/** `npm run generate`: writes the generated pages of docs/reference. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DIRECTORY, referencePages } from './reference.ts';

mkdirSync(DIRECTORY, { recursive: true });
for (const [name, text] of referencePages()) writeFileSync(join(DIRECTORY, name), text);
