/** `npm run generate`: writes the generated pages of docs/reference, the API client's types and Alloy's keep-rules. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { alloyRules } from './alloy-rules.ts';
import { openApiDocument } from '../../aggregator/api/endpoint/document.ts';
import { ENDPOINTS } from '../../aggregator/api/endpoints.ts';
import { CLIENT_TYPES, clientTypes, type OpenApi } from './client-types.ts';
import { DIRECTORY, referencePages, ROOT } from './reference.ts';

mkdirSync(DIRECTORY, { recursive: true });
for (const [name, text] of referencePages()) writeFileSync(join(DIRECTORY, name), text);
const types = await clientTypes(openApiDocument(ENDPOINTS) as unknown as OpenApi);
writeFileSync(join(ROOT, CLIENT_TYPES), types);
for (const [path, text] of alloyRules()) writeFileSync(join(ROOT, path), text);
