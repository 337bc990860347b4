/** `npm run reference`: docs/options.md and man/cluster-import.1, as the table of verbs has it. */
import { references } from './reference/references.js';
import { replaceFile } from './replace-file.mjs';

for (const { path, text } of await references()) replaceFile(path, text);
